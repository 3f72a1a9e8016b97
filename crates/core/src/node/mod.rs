//! The node's half: its folder, its link to the hub, the streams that end on it.

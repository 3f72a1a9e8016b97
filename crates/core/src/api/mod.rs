//! What hub, nodes and the command line agree on: the shapes of `/nave/v1`.

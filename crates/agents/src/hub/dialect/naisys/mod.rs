//! NAISYS 3.0: its runners as they are. What they send and expect is written down in their hub's contract, from recordings
//! of version 3.0.0.

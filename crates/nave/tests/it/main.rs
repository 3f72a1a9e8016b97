//! The program as its users meet it: real processes, real networks, real tools.

mod backup;
mod command_line;
mod kill;
mod netns;
mod program;

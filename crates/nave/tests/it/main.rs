//! The program as its users meet it: real processes, real networks, real tools.

mod command_line;
mod netns;
mod program;

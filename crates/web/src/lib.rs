//! The console: pages for people. What they show and do is the services' below.

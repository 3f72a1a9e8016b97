//! The console: pages for people. What they show and do is the services' below; what a page may be seen by is said
//! where its route is declared.

pub mod assets;
pub mod error;
pub mod form;
pub mod page;
mod pages;
pub mod section;
pub mod shell;
pub mod ui;
pub mod views;
pub mod visitor;
pub mod words;

use std::sync::Arc;

use axum::Extension;
use nave_core::hub::http::Routes;

pub use self::pages::{Answer, Shared, done, may, refuse, shell, show};
use self::section::{Section, Sections};

/// Every page of the console: the core's, and those that fleets bring.
pub fn routes(sections: Vec<Arc<dyn Section>>) -> Routes {
    let sections = Sections::new(sections);
    sections.routes(pages::routes(Routes::default())).with(Extension(sections))
}

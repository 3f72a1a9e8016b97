//! The console: pages for people. What they show and do is the services' below; what a page may be seen by is said
//! where its route is declared.

pub mod assets;
pub mod error;
pub mod form;
pub mod page;
mod pages;
pub mod shell;
pub mod ui;
pub mod views;
pub mod visitor;
pub mod words;

use nave_core::hub::http::Routes;

/// Every page of the console.
pub fn routes() -> Routes {
    [
        pages::nodes::routes,
        pages::streams::routes,
        pages::people::routes,
        pages::audit::routes,
        pages::status::routes,
    ]
    .into_iter()
    .fold(Routes::default(), |routes, pages| pages(routes))
}

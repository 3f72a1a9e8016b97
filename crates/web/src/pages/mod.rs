//! The pages: each reads what it shows from the services and says who may see it. How they look is in `views`.

mod provider;

use nave_core::hub::http::Routes;

pub(crate) fn routes() -> Routes {
    provider::routes(Routes::default())
}

//! OpenID Connect: signing in at a provider that the operator named. Here is the protocol: what is asked of a provider,
//! what is believed of its answers, and who somebody is by them. Accounts and sessions are not here.

mod callback;
mod claims;
mod client;
pub mod config;
mod discovery;
mod error;
mod fetch;
mod provider;
mod template;
mod tokens;
mod verify;
mod voucher;

pub use self::callback::{Answer, Callback, NotACallback};
pub use self::claims::{ClaimPath, Claims, MappedRoles, NotAClaim, Who};
pub use self::config::{Issuer, OidcTable, RoleRule};
pub use self::error::OidcError;
pub use self::provider::{Begun, Pending, Provider, Refreshed, SetupError, SignedIn};
pub use self::template::{NameTemplate, NotATemplate};
pub use self::tokens::Tokens;
pub use self::voucher::{Voucher, VoucherError, checked, unverified};

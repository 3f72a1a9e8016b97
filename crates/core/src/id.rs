//! Identifiers: one type per noun, all of them UUIDs of version 7, so that rows sort by age.

/// Declares an identifier type over a UUID with text and serde forms.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(::uuid::Uuid);

        impl $name {
            /// A new identifier that sorts after those made earlier.
            pub fn new() -> Self {
                Self(::uuid::Uuid::now_v7())
            }
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ::uuid::Error;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                ::uuid::Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A machine that joined, or was invited to.
    NodeId
);
id!(
    /// An invitation: what a join token stands for.
    InviteId
);
id!(
    /// One right of one subject.
    GrantId
);
id!(
    /// One request, from the edge to its audit row.
    RequestId
);
id!(
    /// One lease that begins later.
    BookingId
);
id!(
    /// One byte pipe between two nodes.
    StreamId
);
id!(
    /// One piece of work for a node.
    TaskId
);
id!(
    /// Exclusive use of one resource by one holder.
    LeaseId
);
id!(
    /// One start of a hub, as the owner of pools.
    OwnerId
);
id!(
    /// A human account.
    PersonId
);
id!(
    /// One sign-in in a browser.
    SessionId
);
id!(
    /// A secret by which a program acts for a person.
    TokenId
);
id!(
    /// One sign-in of a person in a program.
    SignInId
);
id!(
    /// Somebody's wish to be let in.
    AccessRequestId
);
id!(
    /// A command line that waits to be let in.
    DeviceRequestId
);

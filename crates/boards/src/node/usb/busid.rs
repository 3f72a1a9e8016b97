//! The name of a USB port, as the kernel writes it and descriptions of places give it.

use std::fmt;
use std::str::FromStr;

/// A USB port below a root hub, `<bus>-<port>[.<port>…]`: `1-4.2` is port 2 of the hub on port 4 of bus 1. Never
/// longer than the 31 characters that USB/IP carries, and safe as a part of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BusId(String);

/// A text that names no USB port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no USB port; one is written like `1-4.2`: bus, dash, and the ports from hub to hub")]
pub struct BusIdError(String);

impl BusId {
    /// The longest that USB/IP carries; with its final NUL it is the kernel's `SYSFS_BUS_ID_SIZE`.
    pub const MAX_LENGTH: usize = 31;

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BusId {
    type Err = BusIdError;

    fn from_str(text: &str) -> Result<Self, BusIdError> {
        let number = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() && !part.starts_with('0')
        };
        let valid = text.len() <= Self::MAX_LENGTH
            && text.split_once('-').is_some_and(|(bus, ports)| number(bus) && ports.split('.').all(number));
        if valid { Ok(Self(text.to_owned())) } else { Err(BusIdError(text.to_owned())) }
    }
}

impl fmt::Display for BusId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_told_from_everything_else() {
        for right in ["1-1", "1-4.2", "12-10.3.11", "1-1.1.1.1.1.1.1.1.1.1.1.1.1.1.1"] {
            assert_eq!(right.parse::<BusId>().map(|id| id.to_string()), Ok(right.to_owned()));
        }
        let long = format!("1-1{}", ".1".repeat(15));
        for wrong in
            ["", "1", "1-", "-1", "usb1", "0-1", "1-0", "1-1.", "1-1.0", "01-1", "1-1/..", "1-1:1.0", &long]
        {
            assert!(wrong.parse::<BusId>().is_err(), "{wrong}");
        }
    }
}

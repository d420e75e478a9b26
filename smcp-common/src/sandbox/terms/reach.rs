//! Reading an entry of `network.allow`, so that what is wrong with it is said of the entry.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::Reach;

impl<'de> Deserialize<'de> for Reach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Entry)
    }
}

struct Entry;

impl Visitor<'_> for Entry {
    type Value = Reach;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a destination such as \"api.example.com:443\" or a port")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Reach, E> {
        text.parse().map(Reach::Destination).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Reach, E> {
        let port = u16::try_from(number).map_err(|_| no_port(number))?;
        Ok(Reach::Port(port))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Reach, E> {
        let port = u16::try_from(number).map_err(|_| no_port(number))?;
        Ok(Reach::Port(port))
    }
}

fn no_port<E: de::Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!(
        "{number} is no port: it must be between 1 and 65535"
    ))
}

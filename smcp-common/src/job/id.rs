//! The public name of a job.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A job's id: a UUID version 7 in its hyphenated text form, so that ids sort by creation and cannot be guessed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// A text that is not a job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a job id: a UUID such as 019a8c7e-5d2f-7b1a-9c41-2f6f0d3b8a55 is expected")]
pub struct InvalidJobId(String);

impl JobId {
    /// An id nobody has used: 48 bits of time, 74 random bits (RFC 9562, section 5.7). All of these are drawn anew,
    /// where the library would count within a millisecond: from one id, no other can be guessed.
    pub fn random() -> Self {
        let mut bytes = Uuid::new_v4().into_bytes();
        bytes[..6].copy_from_slice(&Uuid::now_v7().as_bytes()[..6]);
        let id = uuid::Builder::from_bytes(bytes).with_version(uuid::Version::SortRand);
        Self(id.into_uuid().to_string())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::parse_str(text.trim()) {
            Ok(id) => Ok(Self(id.to_string())),
            Err(_) => Err(InvalidJobId(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

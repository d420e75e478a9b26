//! Requests of nobody in particular that were refused.

use std::net::IpAddr;

use serde::Serialize;

use super::{Command, Tx};
use crate::agent::STRANGER;
use crate::job::Entrance;
use crate::queue::QueueError;

/// Records that a request was refused which names no agent.
#[derive(Debug)]
pub(in crate::queue) struct RefuseStranger {
    pub(in crate::queue) entrance: Entrance,
    /// Why.
    pub(in crate::queue) code: &'static str,
}

/// The details of a refusal.
#[derive(Debug, Serialize)]
struct Refused {
    address: Option<IpAddr>,
    code: &'static str,
    transport: &'static str,
}

impl Command for RefuseStranger {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let Entrance { transport, address } = self.entrance;
        let data = Refused {
            address,
            code: self.code,
            transport,
        };
        tx.audit("request.refused", STRANGER, None, &data)
    }
}

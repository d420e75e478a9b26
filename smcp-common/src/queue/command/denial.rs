//! A call that was not allowed leaves an audit record, and no job.

use std::net::IpAddr;

use serde::Serialize;

use super::{Command, Tx};
use crate::audit::Copied;
use crate::canonical;
use crate::policy::Via;
use crate::queue::{Denial, QueueError};

#[derive(Debug)]
pub(in crate::queue) struct Deny {
    pub(in crate::queue) denial: Denial,
}

/// The details of a denial.
#[derive(Debug, Serialize)]
struct Denied<'d> {
    address: Option<IpAddr>,
    arguments: Copied<'d>,
    arguments_digest: String,
    code: &'d str,
    tool: &'d str,
    transport: Option<&'d str>,
    via: Via,
}

impl Command for Deny {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let denial = &self.denial;
        let call = canonical::call(&denial.tool, &denial.arguments);
        let entrance = denial.entrance.as_ref();
        let data = Denied {
            address: entrance.and_then(|entrance| entrance.address),
            arguments: Copied::of(&denial.arguments, &denial.secret),
            arguments_digest: canonical::hex(&tx.digest_key.digest(&call)),
            code: &denial.code,
            tool: &denial.tool,
            transport: entrance.map(|entrance| entrance.transport),
            via: denial.via,
        };
        tx.audit("call.denied", &denial.agent, None, &data)
    }
}

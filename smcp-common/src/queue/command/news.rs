//! ⑤ What a running attempt has to tell: progress, log lines and output, stored as it comes.

use serde_json::json;

use super::finish::store_output;
use super::hold::Held;
use super::{Command, Tx};
use crate::job::{EventKind, News};
use crate::queue::{Hold, QueueError};

#[derive(Debug)]
pub(in crate::queue) struct AppendNews {
    pub(in crate::queue) hold: Hold,
    pub(in crate::queue) news: Vec<News>,
}

impl Command for AppendNews {
    type Answer = ();

    fn apply(&self, tx: &mut Tx<'_>) -> Result<(), QueueError> {
        let mut held = Held::find(tx, &self.hold)?;
        for news in &self.news {
            match news {
                News::Progress(data) => tx.event(held.num, EventKind::Progress, data)?,
                News::Log(line) => tx.event(held.num, EventKind::Log, &json!({"message": line}))?,
                News::Output(chunk) => {
                    held.output_bytes = store_output(tx, &held, chunk, None)?;
                    tx.event(
                        held.num,
                        EventKind::Output,
                        &json!({"bytes": held.output_bytes}),
                    )?;
                }
            }
        }
        Ok(())
    }
}

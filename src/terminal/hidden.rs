//! Asking for what nobody must see.

use std::io;
use std::thread;

use anyhow::Context as _;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use smcp_common::secret::Plain;
use tokio::signal::ctrl_c;
use tokio::sync::oneshot;

use super::note;

/// Asks at the terminal that standard input is, without showing what is typed. `None` where whoever sits there breaks off, by
/// Ctrl-C or Ctrl-D.
///
/// # Errors
/// The terminal cannot be read or written.
pub(crate) async fn ask_hidden(prompt: String) -> anyhow::Result<Option<Plain>> {
    let failed = "cannot ask at the terminal";
    let shown = tcgetattr(io::stdin()).context(failed)?;
    let (tell, told) = oneshot::channel();
    // No thread of the runtime, which would wait for it at its end.
    thread::spawn(move || drop(tell.send(rpassword::prompt_password(prompt))));
    let answer = tokio::select! {
        answer = told => answer.context(failed)?,
        pressed = ctrl_c() => pressed.and_then(|()| Err(io::ErrorKind::Interrupted.into())),
    };
    let error = match answer {
        Ok(text) => return Ok(Some(Plain::new(text))),
        Err(error) => error,
    };
    // Else the shell would show nothing of what is typed there.
    tcsetattr(io::stdin(), OptionalActions::Now, &shown).context(failed)?;
    note("")?;
    let left_off = [io::ErrorKind::Interrupted, io::ErrorKind::UnexpectedEof];
    if left_off.contains(&error.kind()) {
        return Ok(None);
    }
    Err(error).context(failed)
}

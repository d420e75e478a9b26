//! From the arguments of a call to the command line of its plugin process.

use serde_json::{Map, Value};

use super::{FlagStyle, Kind, Parameter, Tool, python};

/// The longest single argument in bytes: what Linux takes (`MAX_ARG_STRLEN`), less the NUL byte at its end.
pub const MAX_ELEMENT_BYTES: usize = 128 * 1024 - 1;

/// The most that all arguments may have together in bytes, a NUL byte each included. Linux gives the arguments and the
/// environment 2 MiB at the usual stack limit; this leaves the environment its part.
pub const MAX_TOTAL_BYTES: usize = 1024 * 1024;

/// Why a call has no command line. None of the messages shows a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgvError {
    /// A NUL byte ends an argument, so that none can be passed.
    #[error("argument '{}' has a NUL byte, which cannot be passed to a plugin", parameter.escape_debug())]
    NulByte {
        /// The name of the argument.
        parameter: String,
    },
    /// The name would not be read as one flag.
    #[error("argument name '{}' cannot be a flag", parameter.escape_debug())]
    NotAFlag {
        /// The name of the argument.
        parameter: String,
    },
    /// One argument is longer than the system takes.
    #[error("argument '{parameter}' has {bytes} bytes on the command line; the limit is {limit}")]
    TooLarge {
        /// The name of the argument.
        parameter: String,
        /// The size of what was too large.
        bytes: usize,
        /// [`MAX_ELEMENT_BYTES`].
        limit: usize,
    },
    /// The arguments together are more than the system takes.
    #[error("the arguments have {bytes} bytes together; the limit is {limit}")]
    TotalTooLarge {
        /// The size of them all.
        bytes: usize,
        /// [`MAX_TOTAL_BYTES`].
        limit: usize,
    },
}

/// What follows the plugin's file on its command line: the command, then the arguments in their order as flags.
///
/// The `arguments` are as [`normalise`](super::normalise) leaves them. Values are written as the Python SMCP wrote
/// them, but for one thing: a value that starts with `-` is passed as `--name=value`. As an argument of its own it could
/// be read as another flag, and argparse and most other parsers take this form for the same thing.
///
/// # Errors
/// [`ArgvError`] where a name or a value cannot be passed on a command line.
pub fn render(tool: &Tool, arguments: &Map<String, Value>) -> Result<Vec<String>, ArgvError> {
    let mut argv = vec![tool.command.clone()];
    for (name, value) in arguments {
        let flag = flag(name)?;
        for element in fragment(tool.parameter(name), &flag, value) {
            check(name, &element)?;
            argv.push(element);
        }
    }
    let bytes = argv.iter().map(|element| element.len() + 1).sum();
    if bytes > MAX_TOTAL_BYTES {
        return Err(ArgvError::TotalTooLarge {
            bytes,
            limit: MAX_TOTAL_BYTES,
        });
    }
    Ok(argv)
}

/// The flag of an argument. Open tools take names that nobody declared: an empty one would make `--`, which ends the
/// flags, and a `=` or a space would make the value an argument of its own.
fn flag(name: &str) -> Result<String, ArgvError> {
    if name.contains('\0') {
        return Err(ArgvError::NulByte {
            parameter: name.to_owned(),
        });
    }
    if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
        return Err(ArgvError::NotAFlag {
            parameter: name.to_owned(),
        });
    }
    Ok(format!("--{}", name.replace('_', "-")))
}

fn fragment(parameter: Option<&Parameter>, flag: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Bool(on) => match (
            parameter.map_or(FlagStyle::Value, |parameter| parameter.flag),
            on,
        ) {
            (FlagStyle::Value, _) => option(flag, on.to_string()),
            (FlagStyle::Flag, true) => vec![flag.to_owned()],
            (FlagStyle::Flag, false) => Vec::new(),
        },
        Value::Array(items) => {
            let is_object = parameter.is_some_and(|parameter| parameter.kind == Kind::Object);
            if is_object || items.iter().any(|item| item.is_array() || item.is_object()) {
                return option(flag, python::json(value));
            }
            items
                .iter()
                .flat_map(|item| option(flag, python::text(item)))
                .collect()
        }
        Value::Object(_) => option(flag, python::json(value)),
        Value::Number(_) | Value::String(_) => option(flag, python::text(value)),
    }
}

fn option(flag: &str, value: String) -> Vec<String> {
    if value.starts_with('-') {
        vec![format!("{flag}={value}")]
    } else {
        vec![flag.to_owned(), value]
    }
}

fn check(name: &str, element: &str) -> Result<(), ArgvError> {
    if element.contains('\0') {
        return Err(ArgvError::NulByte {
            parameter: name.to_owned(),
        });
    }
    if element.len() > MAX_ELEMENT_BYTES {
        return Err(ArgvError::TooLarge {
            parameter: name.to_owned(),
            bytes: element.len(),
            limit: MAX_ELEMENT_BYTES,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

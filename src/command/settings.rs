//! `smcp settings`: what can be changed while SMCP runs.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::clock::Timestamp;
use smcp_common::config::Environment;
use smcp_common::setting::{Setting, Unit};

use super::with_client;
use crate::cli::{Settings, SettingsGet, SettingsList, SettingsSet};
use crate::client::Client;
use crate::duration;
use crate::failure::BadUsage;
use crate::table::Table;
use crate::terminal::{Style, print, print_json};

/// What takes a setting back to its default.
const DEFAULT: &str = "default";

/// A setting, as `settings__get` shows it.
#[derive(Debug, Deserialize)]
struct Shown {
    name: String,
    value: i64,
    default: i64,
    minimum: i64,
    maximum: i64,
    unit: String,
    description: String,
    changed_at: Option<Timestamp>,
    changed_by: Option<String>,
}

/// Carries out a command on settings.
pub(crate) fn run(what: Settings) -> anyhow::Result<ExitCode> {
    match what {
        Settings::List(options) => with_client(&options.connection, async |client| {
            list(client, &options).await
        }),
        Settings::Get(options) => {
            find(&options.name)?;
            with_client(&options.connection, async |client| {
                get(client, &options).await
            })
        }
        Settings::Set(options) => {
            let value = value(find(&options.name)?, &options.value)?;
            with_client(&options.connection, async |client| {
                set(client, &options, value).await
            })
        }
    }
}

async fn list(client: &mut Client, options: &SettingsList) -> anyhow::Result<ExitCode> {
    let mut answer = client.ask("settings__get", json!({})).await?;
    let settings = answer["settings"].take();
    if options.connection.json {
        print_json(&settings)?;
    } else {
        let style = Style::of_stdout(&Environment::of_process());
        print(&table(&Vec::deserialize(settings)?, style))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn get(client: &mut Client, options: &SettingsGet) -> anyhow::Result<ExitCode> {
    let asked = json!({ "name": options.name });
    let mut answer = client.ask("settings__get", asked).await?;
    tell(options.connection.json, answer["settings"][0].take())
}

async fn set(
    client: &mut Client,
    options: &SettingsSet,
    value: Option<i64>,
) -> anyhow::Result<ExitCode> {
    let asked = json!({ "name": options.name, "value": value });
    let answer = client.ask("settings__set", asked).await?;
    tell(options.connection.json, answer)
}

fn tell(as_json: bool, setting: Value) -> anyhow::Result<ExitCode> {
    if as_json {
        print_json(&setting)?;
    } else {
        print(&Shown::deserialize(setting)?.render())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Result<Setting, BadUsage> {
    Setting::find(name).ok_or_else(|| {
        let names = Setting::ALL.map(Setting::name).join(", ");
        BadUsage(format!("there is no setting '{name}'; there are: {names}"))
    })
}

/// The new value; `None` means the default. Durations may have units.
fn value(setting: Setting, text: &str) -> Result<Option<i64>, BadUsage> {
    if text == DEFAULT {
        return Ok(None);
    }
    let number = text.parse().ok();
    let number = number.or_else(|| {
        let duration = duration::parse(text).ok()?;
        let is_duration = setting.unit() == Unit::Seconds;
        is_duration.then_some(i64::try_from(duration.as_secs()).ok()?)
    });
    let given = number.map_or_else(|| json!(text), |number: i64| json!(number));
    let read = setting.read(&given);
    read.map(Some).map_err(|error| BadUsage(error.to_string()))
}

fn table(settings: &[Shown], style: Style) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "DEFAULT", "UNIT", "CHANGED BY", "WHAT"]);
    for setting in settings {
        table.row([
            setting.name.clone(),
            setting.value.to_string(),
            setting.default.to_string(),
            setting.unit.clone(),
            setting.changed_by.clone().unwrap_or_else(|| "-".to_owned()),
            setting.description.clone(),
        ]);
    }
    table.render(|row, column, cell| match (row, column) {
        (0, _) => style.bold(cell),
        _ => cell.to_owned(),
    })
}

impl Shown {
    fn render(&self) -> String {
        let Self {
            name,
            value,
            default,
            minimum,
            maximum,
            unit,
            description,
            ..
        } = self;
        let readable = |number: i64| {
            let seconds = u64::try_from(number).unwrap_or_default();
            if *unit == Unit::Seconds.as_str() && seconds >= 60 {
                format!(" ({})", duration::render(Duration::from_secs(seconds)))
            } else {
                String::new()
            }
        };
        let mut text = format!(
            "{name} is {value} {unit}{}\n{description}\nBetween {minimum} and {maximum}; the default is {default}{}.\n",
            readable(*value),
            readable(*default),
        );
        if let (Some(by), Some(at)) = (&self.changed_by, self.changed_at) {
            // Writing to a String cannot fail.
            writeln!(text, "Changed by {by} at {at}.").unwrap_or_default();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_number_a_duration_where_it_is_one_or_the_default() {
        let rows = [
            (Setting::RetentionAge, "30d", Ok(Some(2_592_000))),
            (Setting::RetentionAge, "600", Ok(Some(600))),
            (Setting::RetentionAge, "default", Ok(None)),
            (
                Setting::RetentionAge,
                "5s",
                Err(
                    "retention.age_s is 5, but must be a number of seconds between 60 and 315360000",
                ),
            ),
            (
                Setting::WorkerCount,
                "1m",
                Err(r#"workers.count is "1m", but must be a number of workers between 0 and 256"#),
            ),
            (
                Setting::WorkerCount,
                "-1",
                Err("workers.count is -1, but must be a number of workers between 0 and 256"),
            ),
        ];
        for (setting, text, expected) in rows {
            let read = value(setting, text).map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(ToOwned::to_owned), "{text}");
        }
    }

    #[test]
    fn a_setting_is_shown_with_its_bounds_and_who_changed_it() {
        let shown = |changed_by: Option<&str>| {
            let shown = json!({
                "name": "retention.keep_s", "value": 7_200, "default": 3_600, "minimum": 60, "maximum": 100,
                "unit": "seconds", "description": "Kept.", "changed_at": changed_by.map(|_| 1_000), "changed_by": changed_by,
            });
            Shown::deserialize(shown).unwrap()
        };
        assert_eq!(
            shown(Some("ada")).render(),
            "retention.keep_s is 7200 seconds (2 h)\nKept.\nBetween 60 and 100; the default is 3600 (1 h).\n\
             Changed by ada at 1970-01-01T00:00:01.000Z.\n"
        );
        assert_eq!(
            table(&[shown(None)], Style::default()),
            "SETTING           VALUE  DEFAULT  UNIT     CHANGED BY  WHAT\n\
             retention.keep_s  7200   3600     seconds  -           Kept.\n"
        );
    }
}

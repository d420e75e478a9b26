//! `settings__get` and `settings__set`: what operators change while SMCP runs.

use serde::Deserialize;
use serde_json::{Value, json};
use smcp_common::queue::SetSetting;
use smcp_common::setting::Setting;

use super::{Builtin, Changes, read};
use crate::app::App;
use crate::caller::Caller;
use crate::refusal::Refusal;

pub(super) fn get() -> Builtin {
    Builtin::new(
        "settings__get",
        "Shows the settings that can be changed while SMCP runs: value, default, bounds, and who changed each last.",
        Changes::Nothing,
        &json!({"name": name("Only this one.")}),
        &[],
        |app, _, arguments| Box::pin(async move { run_get(app, arguments) }),
    )
}

pub(super) fn set() -> Builtin {
    Builtin::new(
        "settings__set",
        "Changes a setting. It counts at once, and after a restart.",
        Changes::Once,
        &json!({
            "name": name("The setting."),
            "value": {"type": "integer", "description": "Its new value; null sets it back to its default."},
        }),
        &["name"],
        |app, caller, arguments| Box::pin(run_set(app, caller, arguments)),
    )
    .for_operators()
}

fn name(description: &str) -> Value {
    let names = Setting::ALL.map(Setting::name);
    json!({"type": "string", "enum": names, "description": description})
}

#[derive(Deserialize)]
struct Get {
    name: Option<String>,
}

fn run_get(app: &App, arguments: Value) -> Result<Value, Refusal> {
    let Get { name } = read(arguments)?;
    let wanted = name.as_deref().map(find).transpose()?;
    let set = app.queue.settings()?;
    let shown: Vec<_> = Setting::ALL
        .into_iter()
        .filter(|setting| wanted.is_none_or(|wanted| wanted == *setting))
        .map(|setting| show(app, setting, &set))
        .collect();
    Ok(json!({ "settings": shown }))
}

#[derive(Deserialize)]
struct Set {
    name: String,
    value: Option<Value>,
}

async fn run_set(app: &App, caller: &Caller, arguments: Value) -> Result<Value, Refusal> {
    let Set { name, value } = read(arguments)?;
    let setting = find(&name)?;
    let value = value.map(|value| setting.read(&value)).transpose();
    let value = value.map_err(|error| Refusal::invalid_arguments(format!("{error}.")))?;
    app.queue.set_setting(setting, value, &caller.agent).await?;
    Ok(show(app, setting, &app.queue.settings()?))
}

fn find(name: &str) -> Result<Setting, Refusal> {
    Setting::find(name).ok_or_else(|| {
        let names = Setting::ALL.map(Setting::name).join(", ");
        Refusal::invalid_arguments(format!("There is no setting '{name}'; there are: {names}."))
    })
}

fn show(app: &App, setting: Setting, set: &[SetSetting]) -> Value {
    let set = set.iter().find(|set| set.setting == setting);
    let default = app.default(setting);
    json!({
        "name": setting.name(),
        "value": set.map_or(default, |set| set.value),
        "default": default,
        "minimum": setting.least(),
        "maximum": setting.most(),
        "unit": setting.unit().as_str(),
        "description": setting.description(),
        "changed_at": set.map(|set| set.at),
        "changed_by": set.map(|set| &set.by),
    })
}

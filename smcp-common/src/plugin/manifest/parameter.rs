//! One entry of a command's `parameters`.

use serde_json::{Number, Value};

use super::fields::{Fields, Findings};
use crate::plugin::arguments::shaped;
use crate::plugin::{FlagStyle, Kind, Parameter};

/// Reads the parameter at `path`; nothing where it has no name.
pub(super) fn read(value: &Value, path: String, findings: &mut Findings) -> Option<Parameter> {
    let mut fields = Fields::of_value(value, path, &KEYS, findings)?;
    let name = fields.name();
    let kind = fields
        .one_of("type", &Kind::ALL, Kind::as_str)
        .unwrap_or_default();
    let description = fields.string("description").unwrap_or_default().to_owned();
    let required = fields.boolean("required").unwrap_or(false);
    let items = fields.object("items").cloned().map(Value::Object);
    let enum_values = choices(kind, &mut fields);
    let (minimum, maximum) = range(&mut fields);
    let pattern = fields.string("pattern").map(str::to_owned);
    let format = fields.string("format").map(str::to_owned);
    let secret = fields.boolean("secret").unwrap_or(false);
    let flag = flag_style(&fields);
    let default = fields
        .get("default")
        .cloned()
        .map(|value| shaped(kind, value));
    let mut parameter = Parameter {
        name: name?.to_owned(),
        kind,
        description,
        required,
        default: None,
        items,
        enum_values,
        minimum,
        maximum,
        pattern,
        format,
        secret,
        flag,
    };
    parameter.default = usable(default, &parameter, &mut fields);
    Some(parameter)
}

pub(super) const KEYS: [&str; 15] = [
    "name",
    "type",
    "description",
    "required",
    "default",
    "items",
    "enum",
    "minimum",
    "maximum",
    "pattern",
    "format",
    "secret",
    "action",
    "arg_style",
    "takes_value",
];

/// The enumeration, unless no value could ever be in it: on an array, for one, it was surely meant for the elements.
fn choices(kind: Kind, fields: &mut Fields<'_, '_>) -> Option<Vec<Value>> {
    let values = fields.list("enum")?;
    if values.iter().any(|value| kind.admits(value)) {
        return Some(values.to_vec());
    }
    fields.ignored(
        "enum",
        format!("has no value of the type {} and is ignored", kind.as_str()),
    );
    None
}

fn range(fields: &mut Fields<'_, '_>) -> (Option<Number>, Option<Number>) {
    let minimum = fields.number("minimum").cloned();
    let maximum = fields.number("maximum").cloned();
    if let (Some(least), Some(most)) = (&minimum, &maximum)
        && least.as_f64() > most.as_f64()
    {
        fields.wrong(
            "minimum",
            format!("{least} is more than the maximum {most}"),
        );
    }
    (minimum, maximum)
}

/// How a boolean is written: what argparse is told decides, then the style that is asked for, then whether it takes a value.
fn flag_style(fields: &Fields<'_, '_>) -> FlagStyle {
    let word = |key| {
        fields
            .get(key)
            .and_then(Value::as_str)
            .map(|text| text.trim().to_ascii_lowercase())
    };
    let action = word("action");
    let style = word("arg_style");
    let takes_value = fields.get("takes_value").and_then(Value::as_bool);
    if matches!(action.as_deref(), Some("store_true" | "store_false")) {
        return FlagStyle::Flag;
    }
    match style.as_deref() {
        Some("flag") => FlagStyle::Flag,
        Some("value") => FlagStyle::Value,
        _ if takes_value == Some(false) => FlagStyle::Flag,
        _ => FlagStyle::Value,
    }
}

/// The default, unless no call could use it. The original only showed defaults, so that plugins exist whose defaults are
/// of another type; filling such a one in would have every call refused.
fn usable(
    default: Option<Value>,
    parameter: &Parameter,
    fields: &mut Fields<'_, '_>,
) -> Option<Value> {
    let default = default?;
    let limit = |bound: &Option<Number>| bound.as_ref().and_then(Number::as_f64);
    let out_of_range = default.as_f64().is_some_and(|number| {
        limit(&parameter.minimum).is_some_and(|least| number < least)
            || limit(&parameter.maximum).is_some_and(|most| number > most)
    });
    let why = if !parameter.kind.admits(&default) {
        format!("is not of the type {}", parameter.kind.as_str())
    } else if parameter
        .enum_values
        .as_ref()
        .is_some_and(|values| !values.contains(&default))
    {
        "is not in the enum".to_owned()
    } else if out_of_range {
        "is out of range".to_owned()
    } else {
        return Some(default);
    };
    fields.ignored("default", format!("{why} and is ignored"));
    None
}

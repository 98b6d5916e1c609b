//! The settings in the shapes of Spring's environment and configuration properties. Secrets are masked already.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::{Origin, Setting};

/// The value of a setting, which is TOML.
fn value(setting: &Setting) -> Value {
    let text = &setting.value;
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.into(),
        None => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
    }
}

/// The name of the source that a setting comes from.
fn source(setting: &Setting) -> String {
    match &setting.origin {
        Origin::Default => "defaults".to_owned(),
        Origin::File(path) => format!("file {}", path.display()),
        Origin::Variable(_) | Origin::VariableFile(..) => "systemEnvironment".to_owned(),
        Origin::Flag(_) => "commandLineArgs".to_owned(),
    }
}

fn property(setting: &Setting) -> Value {
    json!({"value": value(setting), "origin": setting.origin.to_string()})
}

/// All settings by their sources.
pub(crate) fn environment(settings: &[Setting]) -> Value {
    let mut sources: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for setting in settings {
        sources.entry(source(setting)).or_default().insert(setting.key.clone(), property(setting));
    }
    let sources: Vec<Value> =
        sources.into_iter().map(|(name, properties)| json!({"name": name, "properties": properties})).collect();
    json!({"activeProfiles": [], "defaultProfiles": ["default"], "propertySources": sources})
}

/// One setting; `None` if there is none with this key.
pub(crate) fn one(settings: &[Setting], key: &str) -> Option<Value> {
    let setting = settings.iter().find(|setting| setting.key == key)?;
    let source = source(setting);
    Some(json!({
        "property": {"source": source, "value": value(setting)},
        "activeProfiles": [],
        "defaultProfiles": ["default"],
        "propertySources": [{"name": source, "property": property(setting)}],
    }))
}

/// All settings by their sections.
pub(crate) fn properties(settings: &[Setting]) -> Value {
    let mut sections: BTreeMap<&str, (Map<String, Value>, Map<String, Value>)> = BTreeMap::new();
    for setting in settings {
        let (section, name) = setting.key.split_once('.').unwrap_or(("", &setting.key));
        let (properties, inputs) = sections.entry(section).or_default();
        properties.insert(name.to_owned(), value(setting));
        inputs.insert(name.to_owned(), property(setting));
    }
    let bean = |(section, (properties, inputs)): (&str, (Map<String, Value>, Map<String, Value>))| {
        (section.to_owned(), json!({"prefix": section, "properties": properties, "inputs": inputs}))
    };
    let beans: Map<String, Value> = sections.into_iter().map(bean).collect();
    json!({"contexts": {"promox": {"beans": beans, "parentId": null}}})
}

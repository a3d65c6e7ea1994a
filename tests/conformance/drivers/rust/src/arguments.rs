//! The arguments of a call, as the API's types want them.

use std::fmt::Display;
use std::time::Duration;

use crate::json::Value;

/// Why a call has no value.
#[derive(Debug)]
pub enum Failure {
    Commy(commy::Error),
    /// The API's types cannot hold it: code 2 in its place.
    Unwritable(String),
    /// A name under which no mesh was opened: code 3 in its place.
    NoMesh(String),
    /// A defect of the driver or of a case.
    Defect(String),
}

impl From<commy::Error> for Failure {
    fn from(error: commy::Error) -> Failure {
        Failure::Commy(error)
    }
}

pub struct Arguments<'a>(pub &'a Value);

impl<'a> Arguments<'a> {
    /// A text; none where it is null or missing.
    pub fn option(&self, name: &str) -> Option<&'a str> {
        match self.0.get(name) {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A text; empty where it is null or missing, which no type of the API is.
    pub fn text(&self, name: &str) -> &'a str {
        self.option(name).unwrap_or("")
    }

    pub fn texts(&self, name: &str) -> Vec<&'a str> {
        match self.0.get(name) {
            Value::List(values) => values
                .iter()
                .map(|value| match value {
                    Value::String(text) => text.as_str(),
                    _ => "",
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.get(name) != &Value::Null
    }

    /// The arguments in an object; none where it is null or missing.
    pub fn object(&self, name: &str) -> Option<Arguments<'a>> {
        match self.0.get(name) {
            value @ Value::Object(_) => Some(Arguments(value)),
            _ => None,
        }
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Value::Bool(true))
    }

    /// A number or a decimal string; 0 where it is null or missing.
    pub fn number<T: TryFrom<i128> + Default>(&self, name: &str) -> Result<T, Failure> {
        let text = match self.0.get(name) {
            Value::Number(text) | Value::String(text) => text,
            _ => return Ok(T::default()),
        };
        let number: i128 = text.parse().map_err(|_| Failure::Defect(format!("{name} {text} is no whole number")))?;
        T::try_from(number).map_err(|_| unwritable(name, text))
    }

    pub fn double(&self, name: &str) -> Result<f64, Failure> {
        match self.0.get(name) {
            Value::Number(text) => text.parse().map_err(|_| Failure::Defect(format!("{name} {text} is no number"))),
            _ => Err(Failure::Defect(format!("{name} is missing"))),
        }
    }

    pub fn millis(&self, name: &str) -> Result<Duration, Failure> {
        Ok(Duration::from_millis(self.number(name)?))
    }

    pub fn nanos(&self, name: &str) -> Result<Duration, Failure> {
        Ok(Duration::from_nanos(self.number(name)?))
    }

    /// Negative: for ever.
    pub fn timeout(&self, name: &str) -> Result<Option<Duration>, Failure> {
        let ms: i64 = self.number(name)?;
        Ok(u64::try_from(ms).ok().map(Duration::from_millis))
    }
}

pub fn unwritable(name: &str, value: impl Display) -> Failure {
    Failure::Unwritable(format!("{name} is {value}, which its type does not hold"))
}

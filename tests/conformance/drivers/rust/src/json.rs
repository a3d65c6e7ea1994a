//! As much JSON as the driver speaks: one value a line, read and written.

use std::fmt;

/// A number keeps its text, so that 64 bits stay 64 bits and what no type holds can be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    pub fn get(&self, key: &str) -> &Value {
        match self {
            Value::Object(fields) => {
                fields.iter().find(|(name, _)| name == key).map_or(&Value::Null, |(_, value)| value)
            }
            _ => &Value::Null,
        }
    }
}

pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub fn number(number: impl fmt::Display) -> Value {
    Value::Number(number.to_string())
}

pub fn string(text: impl fmt::Display) -> Value {
    Value::String(text.to_string())
}

// ------------------------------------------------------------------- writing

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(text) => f.write_str(text),
            Value::String(text) => quoted(f, text),
            Value::List(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Value::Object(fields) => {
                f.write_str("{")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

// ------------------------------------------------------------------- reading

/// Reads one value and nothing behind it.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value()?;
    reader.space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.unexpected()),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Result<char, String> {
        let c = self.peek().ok_or_else(|| self.unexpected())?;
        self.at += c.len_utf8();
        Ok(c)
    }

    fn unexpected(&self) -> String {
        match self.peek() {
            Some(c) => format!("{c:?} at byte {} is not JSON there", self.at),
            None => "the line ends within a value".into(),
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, expected: &str) -> Result<(), String> {
        self.space();
        if !self.text[self.at..].starts_with(expected) {
            return Err(self.unexpected());
        }
        self.at += expected.len();
        Ok(())
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        match self.peek() {
            Some('{') => self.object(),
            Some('[') => self.list(),
            Some('"') => Ok(Value::String(self.string()?)),
            Some('t') => self.take("true").map(|()| Value::Bool(true)),
            Some('f') => self.take("false").map(|()| Value::Bool(false)),
            Some('n') => self.take("null").map(|()| Value::Null),
            _ => self.number(),
        }
    }

    /// Whether another element follows, up to and including the comma or the end.
    fn goes_on(&mut self, first: bool, end: &str) -> Result<bool, String> {
        if self.take(end).is_ok() {
            return Ok(false);
        }
        if !first {
            self.take(",")?;
        }
        Ok(true)
    }

    fn object(&mut self) -> Result<Value, String> {
        self.take("{")?;
        let mut fields = Vec::new();
        while self.goes_on(fields.is_empty(), "}")? {
            self.space();
            let name = self.string()?;
            self.take(":")?;
            fields.push((name, self.value()?));
        }
        Ok(Value::Object(fields))
    }

    fn list(&mut self) -> Result<Value, String> {
        self.take("[")?;
        let mut values = Vec::new();
        while self.goes_on(values.is_empty(), "]")? {
            values.push(self.value()?);
        }
        Ok(Value::List(values))
    }

    fn number(&mut self) -> Result<Value, String> {
        let rest = &self.text[self.at..];
        let bytes = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        if rest[..bytes].parse::<f64>().is_err() {
            return Err(self.unexpected());
        }
        self.at += bytes;
        Ok(Value::Number(rest[..bytes].to_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        match self.next()? {
            'n' => Ok('\n'),
            't' => Ok('\t'),
            'r' => Ok('\r'),
            'b' => Ok('\u{8}'),
            'f' => Ok('\u{c}'),
            c @ ('"' | '\\' | '/') => Ok(c),
            'u' => self.code_point(),
            c => Err(format!("\\{c} is no escape")),
        }
    }

    /// One \uXXXX, or two of them that make one character.
    fn code_point(&mut self) -> Result<char, String> {
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) {
            self.take("\\u")?;
            let low = self.four_digits()?.wrapping_sub(0xdc00);
            code = if low < 0x400 { 0x10000 + ((code - 0xd800) << 10) + low } else { 0xd800 };
        }
        char::from_u32(code).ok_or_else(|| format!("\\u{code:04x} is half of a character"))
    }

    fn four_digits(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4).ok_or("four digits are missing behind \\u")?;
        let code = u32::from_str_radix(digits, 16).map_err(|_| format!("{digits} are not four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let line = r#"{"a":[1,-2.5e3,"ü\"\\",null,true,false,{}],"b":"18446744073709551616","c":[]}"#;
        assert_eq!(parse(line).unwrap().to_string(), line);
        assert_eq!(parse(" { \"a\" : [ 1 , 2 ] } ").unwrap().get("a"), &Value::List(vec![number(1), number(2)]));
        assert_eq!(parse(r#""\u0000\n\ud83d\ude00\u00fc""#).unwrap(), string("\0\n😀ü"));
        assert_eq!(string("\0\n").to_string(), r#""\u0000\u000a""#);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for line in ["", "{", "[1,]", "[1 2]", "nul", "\"a", "\"\\x\"", "\"\\ud800\"", "1 2", "{\"a\" 1}", "--1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

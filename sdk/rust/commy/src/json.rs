//! Whether a text is JSON (RFC 8259). The library takes any metadata; what the SDKs and the tools put there is JSON.

use crate::error::{Error, Result};

/// What must come next.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Value,
    /// A value, or the end of the list that has just begun.
    ValueOrEnd,
    Name,
    /// A name, or the end of the object that has just begun.
    NameOrEnd,
    /// A comma, the end of what is open, or the end of the text where nothing is.
    CommaOrEnd,
}

/// Checks metadata: empty, which is none, or JSON.
pub(crate) fn check(text: &[u8]) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    match (Reader { text, at: 0 }).read() {
        Ok(()) => Ok(()),
        Err(at) => {
            let rest = String::from_utf8_lossy(&text[at..]);
            let sentence = match rest.chars().next() {
                Some(c) => format!(
                    "metadata is no JSON: {c:?} at byte {at} does not belong there; give JSON, or an empty text"
                ),
                None => {
                    format!("metadata is no JSON: it ends at byte {at} within a value; give JSON, or an empty text")
                }
            };
            Err(Error::Invalid(sentence.into()))
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// Where the text stops being JSON.
type Found<T> = std::result::Result<T, usize>;

impl Reader<'_> {
    /// Without recursion: what is open is in a list, however deep it is.
    fn read(mut self) -> Found<()> {
        let mut open: Vec<u8> = Vec::new();
        let mut next = Next::Value;
        loop {
            self.space();
            let byte = match self.peek() {
                None if next == Next::CommaOrEnd && open.is_empty() => return Ok(()),
                None => return Err(self.at),
                Some(byte) => byte,
            };
            next = match (next, byte) {
                (Next::Value | Next::ValueOrEnd, b'[' | b'{') => {
                    open.push(byte);
                    self.at += 1;
                    if byte == b'[' {
                        Next::ValueOrEnd
                    } else {
                        Next::NameOrEnd
                    }
                }
                (Next::ValueOrEnd, b']') | (Next::NameOrEnd, b'}') => self.close(&mut open, byte)?,
                (Next::Value | Next::ValueOrEnd, _) => self.scalar(byte)?,
                (Next::Name | Next::NameOrEnd, _) => {
                    self.string()?;
                    self.space();
                    self.take(b":")?;
                    Next::Value
                }
                (Next::CommaOrEnd, b',') => {
                    self.at += usize::from(!open.is_empty());
                    match open.last() {
                        Some(b'[') => Next::Value,
                        Some(_) => Next::Name,
                        None => return Err(self.at),
                    }
                }
                (Next::CommaOrEnd, _) => self.close(&mut open, byte)?,
            };
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, expected: &[u8]) -> Found<()> {
        for &byte in expected {
            if self.peek() != Some(byte) {
                return Err(self.at);
            }
            self.at += 1;
        }
        Ok(())
    }

    fn close(&mut self, open: &mut Vec<u8>, byte: u8) -> Found<Next> {
        match (open.pop(), byte) {
            (Some(b'['), b']') | (Some(b'{'), b'}') => {
                self.at += 1;
                Ok(Next::CommaOrEnd)
            }
            _ => Err(self.at),
        }
    }

    fn scalar(&mut self, first: u8) -> Found<Next> {
        match first {
            b'"' => self.string()?,
            b't' => self.take(b"true")?,
            b'f' => self.take(b"false")?,
            b'n' => self.take(b"null")?,
            _ => self.number()?,
        }
        Ok(Next::CommaOrEnd)
    }

    fn digits(&mut self) -> Found<()> {
        let first = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > first {
            Ok(())
        } else {
            Err(self.at)
        }
    }

    fn number(&mut self) -> Found<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Found<()> {
        self.take(b"\"")?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(byte) if byte >= b' ' => self.at += 1,
                _ => return Err(self.at),
            }
        }
    }

    fn escape(&mut self) -> Found<()> {
        self.at += 1;
        let digits = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return Err(self.at),
        };
        self.at += 1;
        for _ in 0..digits {
            match self.peek() {
                Some(byte) if byte.is_ascii_hexdigit() => self.at += 1,
                _ => return Err(self.at),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_nothing_pass() {
        let deep = "[".repeat(2000) + &"]".repeat(2000);
        for text in [
            "",
            "null",
            " true ",
            "false",
            "0",
            "-0.5e+10",
            "12E3",
            "\"\"",
            "\"a\\n\\u00fC\\\\ü\"",
            "[]",
            "[ ]",
            "{}",
            "{ }",
            "[1, [2], {\"a\": {}}]",
            "{\"a\":1,\"b\":[{}],\"a\":null}",
            "{\"schön\":\n\t\"ja\"}",
            &deep,
        ] {
            check(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn what_is_no_json_is_named_with_its_place() {
        for (text, at) in [
            (" ", 1),
            ("m", 0),
            ("{'a':1}", 1),
            ("{\"a\":", 5),
            ("{\"a\" 1}", 5),
            ("{\"a\":1,}", 7),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("[1}", 2),
            ("[", 1),
            ("]", 0),
            ("1,2", 1),
            ("01", 1),
            ("1.", 2),
            ("1e", 2),
            ("-", 1),
            ("+1", 0),
            ("nul", 3),
            ("nulls", 4),
            ("\"a", 2),
            ("\"\n\"", 1),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 5),
            ("{1:2}", 1),
            ("1 ü", 2),
            ("{,}", 1),
        ] {
            let said = check(text.as_bytes()).expect_err(text).to_string();
            assert!(said.contains(&format!("at byte {at} ")), "{text}: {said}");
        }
    }
}

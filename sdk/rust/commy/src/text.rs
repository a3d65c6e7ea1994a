//! Text on its way to C and back.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::raw::c_char;

use crate::error::{Error, Result};

/// What the calls of this crate take for a name, an id or an endpoint: `&str` and `String`, which are copied and given the
/// NUL that C wants (on the stack, up to 255 bytes), and `&CStr` and `CString`, which go through as they are.
///
/// Sealed: nobody else implements it.
pub trait Text: sealed::Sealed {
    #[doc(hidden)]
    fn bytes(&self) -> &[u8];
    #[doc(hidden)]
    fn with_c<R>(&self, f: impl FnOnce(*const c_char) -> R) -> Result<R>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for str {}
    impl Sealed for String {}
    impl Sealed for std::ffi::CStr {}
    impl Sealed for std::ffi::CString {}
    impl Sealed for std::borrow::Cow<'_, str> {}
    impl<T: Sealed + ?Sized> Sealed for &T {}
}

const STACK_BYTES: usize = 256;

impl Text for str {
    fn bytes(&self) -> &[u8] {
        str::as_bytes(self)
    }

    #[inline]
    fn with_c<R>(&self, f: impl FnOnce(*const c_char) -> R) -> Result<R> {
        let bytes = self.as_bytes();
        if bytes.len() >= STACK_BYTES {
            return with_heap(bytes, f);
        }
        if bytes.contains(&0) {
            return Err(holds_nul(bytes));
        }
        let mut copy = MaybeUninit::<[u8; STACK_BYTES]>::uninit();
        let to = copy.as_mut_ptr().cast::<u8>();
        // SAFETY: the text and its NUL fit.
        unsafe {
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            to.add(bytes.len()).write(0);
        }
        Ok(f(to as *const c_char))
    }
}

#[cold]
fn with_heap<R>(bytes: &[u8], f: impl FnOnce(*const c_char) -> R) -> Result<R> {
    let text = CString::new(bytes).map_err(|_| holds_nul(bytes))?;
    Ok(f(text.as_ptr()))
}

#[cold]
fn holds_nul(bytes: &[u8]) -> Error {
    let at = bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes);
    Error::Invalid(format!("{text:?} holds a NUL at byte {at}, where texts end for commy: leave it out").into())
}

impl Text for CStr {
    fn bytes(&self) -> &[u8] {
        self.to_bytes()
    }

    #[inline]
    fn with_c<R>(&self, f: impl FnOnce(*const c_char) -> R) -> Result<R> {
        Ok(f(self.as_ptr()))
    }
}

impl Text for CString {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    #[inline]
    fn with_c<R>(&self, f: impl FnOnce(*const c_char) -> R) -> Result<R> {
        self.as_c_str().with_c(f)
    }
}

impl Text for String {
    fn bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }

    #[inline]
    fn with_c<R>(&self, f: impl FnOnce(*const c_char) -> R) -> Result<R> {
        self.as_str().with_c(f)
    }
}

impl Text for Cow<'_, str> {
    fn bytes(&self) -> &[u8] {
        self.as_ref().as_bytes()
    }

    #[inline]
    fn with_c<R>(&self, f: impl FnOnce(*const c_char) -> R) -> Result<R> {
        self.as_ref().with_c(f)
    }
}

impl<T: Text + ?Sized> Text for &T {
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }

    #[inline]
    fn with_c<R>(&self, f: impl FnOnce(*const c_char) -> R) -> Result<R> {
        (**self).with_c(f)
    }
}

/// The same for what may be missing: null.
#[inline]
pub(crate) fn with_option<R>(text: Option<&str>, f: impl FnOnce(*const c_char) -> R) -> Result<R> {
    match text {
        Some(text) => text.with_c(f),
        None => Ok(f(std::ptr::null())),
    }
}

/// A text that is kept until a call: null where it is missing.
pub(crate) fn owned(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| holds_nul(text.as_bytes()))
}

pub(crate) fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
}

/// What a field holds up to its NUL. A damaged region may hold anything: a text ends where it stops being UTF-8.
pub(crate) fn from_field(field: &[c_char]) -> &str {
    // SAFETY: c_char and u8 have the same size and no invalid values.
    let bytes = unsafe { std::slice::from_raw_parts(field.as_ptr().cast::<u8>(), field.len()) };
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    utf8_start(&bytes[..end])
}

pub(crate) fn utf8_start(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // SAFETY: the standard library has just found these bytes valid.
        Err(error) => unsafe { std::str::from_utf8_unchecked(&bytes[..error.valid_up_to()]) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(text: impl Text) -> Result<Vec<u8>> {
        // SAFETY: the text ends with NUL.
        text.with_c(|c| unsafe { CStr::from_ptr(c) }.to_bytes().to_vec())
    }

    #[test]
    fn texts_of_any_kind_and_length_arrive() {
        for bytes in [0, 1, 21, 127, 254, 255, 256, 257, 5000] {
            let text = "x".repeat(bytes);
            let c = CString::new(text.as_str()).unwrap();
            assert_eq!(bytes_of(text.as_str()).unwrap(), text.as_bytes());
            assert_eq!(bytes_of(Cow::from(&text)).unwrap(), text.as_bytes());
            assert_eq!(bytes_of(&text).unwrap(), text.as_bytes());
            assert_eq!(bytes_of(c.as_c_str()).unwrap(), text.as_bytes());
            assert_eq!(bytes_of(&c).unwrap(), text.as_bytes());
            assert_eq!(bytes_of(text.clone() + "ü").unwrap(), (text + "ü").as_bytes());
        }
    }

    #[test]
    fn a_nul_inside_is_refused_with_its_place() {
        let long = "y".repeat(300) + "\0";
        for (text, at) in [("a\0b", "byte 1,"), ("\0", "byte 0,"), (long.as_str(), "byte 300,")] {
            let error = bytes_of(text).unwrap_err();
            assert!(matches!(&error, Error::Invalid(sentence) if sentence.contains(at)), "{error}");
        }
    }

    #[test]
    fn fields_end_at_their_nul_their_end_or_where_they_stop_being_text() {
        let field = |bytes: &[u8]| bytes.iter().map(|&byte| byte as c_char).collect::<Vec<_>>();
        assert_eq!(from_field(&field(b"abc\0def")), "abc");
        assert_eq!(from_field(&field(b"abc")), "abc");
        assert_eq!(from_field(&field(b"ab\xffc\0")), "ab");
        assert_eq!(from_field(&field("aü\0".as_bytes())), "aü");
        assert_eq!(from_field(&field(b"\0")), "");
    }
}

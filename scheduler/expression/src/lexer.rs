//! Text → tokens.

use crate::Error;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Int(i32),
    Long(i64),
    Double(f64),
    Text(String),
    Name(String),
    /// Punctuation and operators, as written.
    Sign(&'static str),
}

/// A token and where it begins, in characters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) at: usize,
}

/// Longest first, so that `?.` is not read as `?`.
const SIGNS: [&str; 39] = [
    "?.", "?:", "?[", "![", "^[", "$[", "==", "!=", "<=", ">=", "&&", "||", "++", "--", "(", ")",
    "[", "]", "{", "}", ",", ".", ":", "?", "+", "-", "*", "/", "%", "^", "<", ">", "!", "#", "=",
    "@", "&", ";", "$",
];

/// Reads all tokens of an expression.
///
/// # Errors
/// [`Error::Parse`] at the first character that begins no token.
pub(crate) fn tokens(text: &str) -> Result<Vec<Spanned>, Error> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next()? {
        found.push(token);
    }
    Ok(found)
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::Parse { message: message.into(), at: self.at }
    }

    fn next(&mut self) -> Result<Option<Spanned>, Error> {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        let at = self.at;
        let Some(first) = self.peek(0) else { return Ok(None) };
        let token = match first {
            '\'' | '"' => self.text(first)?,
            '0'..='9' => self.number()?,
            c if is_name_start(c) => Token::Name(self.name()),
            _ => self.sign()?,
        };
        Ok(Some(Spanned { token, at }))
    }

    /// Quotes are doubled inside a text; there are no other escapes.
    fn text(&mut self, quote: char) -> Result<Token, Error> {
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.peek(0) {
                None => return Err(self.error("EL1045E: a text does not end")),
                Some(c) if c == quote && self.peek(1) == Some(quote) => {
                    text.push(c);
                    self.at += 2;
                }
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(Token::Text(text));
                }
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn name(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(is_name_part) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    fn number(&mut self) -> Result<Token, Error> {
        if self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X')) {
            return self.hexadecimal();
        }
        let start = self.at;
        self.digits();
        let mut is_real = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            is_real = true;
            self.at += 1;
            self.digits();
        }
        is_real |= self.exponent();
        let text: String = self.chars[start..self.at].iter().collect();
        match self.peek(0) {
            Some('l' | 'L') if !is_real => {
                self.at += 1;
                self.long(&text, 10)
            }
            Some('d' | 'D' | 'f' | 'F') => {
                self.at += 1;
                self.double(&text)
            }
            _ if is_real => self.double(&text),
            _ => self.int(&text, 10),
        }
    }

    fn hexadecimal(&mut self) -> Result<Token, Error> {
        self.at += 2;
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_hexdigit()) {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        if matches!(self.peek(0), Some('l' | 'L')) {
            self.at += 1;
            return self.long(&text, 16);
        }
        self.int(&text, 16)
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn exponent(&mut self) -> bool {
        let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
        let is_one = matches!(self.peek(0), Some('e' | 'E'))
            && self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit());
        if is_one {
            self.at += 1 + sign;
            self.digits();
        }
        is_one
    }

    fn int(&self, text: &str, radix: u32) -> Result<Token, Error> {
        let number = i32::from_str_radix(text, radix);
        number.map(Token::Int).map_err(|_| self.error(format!("EL1035E: {text} is no int")))
    }

    fn long(&self, text: &str, radix: u32) -> Result<Token, Error> {
        let number = i64::from_str_radix(text, radix);
        number.map(Token::Long).map_err(|_| self.error(format!("EL1036E: {text} is no long")))
    }

    fn double(&self, text: &str) -> Result<Token, Error> {
        let number = text.parse();
        number.map(Token::Double).map_err(|_| self.error(format!("{text} is no number")))
    }

    fn sign(&mut self) -> Result<Token, Error> {
        let rest = &self.chars[self.at..];
        let fits = |sign: &&&str| {
            sign.chars().count() <= rest.len() && sign.chars().zip(rest).all(|(a, b)| a == *b)
        };
        let found = SIGNS.iter().find(fits).copied();
        let found =
            found.ok_or_else(|| self.error("EL1067E: a character that means nothing here"))?;
        self.at += found.len();
        Ok(Token::Sign(found))
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

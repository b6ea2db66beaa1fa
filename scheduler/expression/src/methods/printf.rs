//! `String.format`.

use crate::Error;
use crate::eval::Result;
use crate::value::Val;

/// `String.format` with `%s %S %d %x %X %o %c %b %f %e %n %%`, width, precision and the flags
/// `-`, `0`, `+`, `,` and blank.
pub(super) fn format(pattern: &str, args: &[Val<'_>]) -> Result<String> {
    let mut made = String::new();
    let mut letters = pattern.chars().peekable();
    let mut next = 0;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            made.push(letter);
            continue;
        }
        let spec = Spec::read(&mut letters)?;
        match spec.conversion {
            '%' => made.push_str(&spec.pad("%".into())),
            'n' => made.push('\n'),
            _ => {
                let place = spec.argument.unwrap_or(next);
                next += usize::from(spec.argument.is_none());
                let missing =
                    || Error::Evaluate(format!("format: argument {} is missing", place + 1));
                made.push_str(&spec.apply(args.get(place).ok_or_else(missing)?)?);
            }
        }
    }
    Ok(made)
}

struct Spec {
    argument: Option<usize>,
    flags: String,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

/// Widest field that a format may ask for.
pub(super) const FORMAT_WIDTH_MAX: usize = 10_000;

impl Spec {
    fn read(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Self> {
        let mut spec = Self {
            argument: None,
            flags: String::new(),
            width: 0,
            precision: None,
            conversion: ' ',
        };
        while let Some(flag) = letters.next_if(|c| "-0+, #(".contains(*c)) {
            spec.flags.push(flag);
        }
        spec.width = digits(letters).unwrap_or(0);
        if letters.next_if_eq(&'$').is_some() {
            spec.argument = spec.width.checked_sub(1);
            return Self::read(letters).map(|rest| Self { argument: spec.argument, ..rest });
        }
        if letters.next_if_eq(&'.').is_some() {
            spec.precision = digits(letters);
        }
        let wide = spec.width.max(spec.precision.unwrap_or(0)) > FORMAT_WIDTH_MAX;
        spec.conversion = letters
            .next()
            .filter(|_| !wide)
            .ok_or_else(|| Error::Evaluate("format: a conversion is missing or too wide".into()))?;
        Ok(spec)
    }

    fn apply(&self, value: &Val<'_>) -> Result<String> {
        let wrong = || {
            Error::Evaluate(format!("format: %{} does not take {}", self.conversion, value.kind()))
        };
        let text = match self.conversion {
            's' => self.cut(value.to_text()),
            'S' => self.cut(value.to_text()).to_uppercase(),
            'b' => match value {
                Val::Null => "false".into(),
                Val::Bool(truth) => truth.to_string(),
                _ => "true".into(),
            },
            'h' => format!("{:x}", super::collections::hash_of(value)),
            _ if value.is_null() => "null".into(),
            'c' => {
                let letter = value.whole().and_then(|code| u32::try_from(code).ok());
                letter.and_then(char::from_u32).map(String::from).ok_or_else(wrong)?
            }
            'd' => self.sign(value.whole().ok_or_else(wrong)?.to_string()),
            'x' => self.prefixed("0x", hexadecimal(value).ok_or_else(wrong)?),
            'X' => self.prefixed("0x", hexadecimal(value).ok_or_else(wrong)?).to_uppercase(),
            'o' => self.prefixed("0", octal(value).ok_or_else(wrong)?),
            'f' => {
                let Val::Double(number) = value else { return Err(wrong()) };
                self.sign(fixed(*number, self.precision.unwrap_or(6)))
            }
            'e' | 'E' => {
                let Val::Double(number) = value else { return Err(wrong()) };
                let text = self.sign(scientific(*number, self.precision.unwrap_or(6)));
                if self.conversion == 'E' { text.to_uppercase() } else { text }
            }
            'g' => {
                let Val::Double(number) = value else { return Err(wrong()) };
                self.sign(general(*number, self.precision.unwrap_or(6)))
            }
            _ => return Err(wrong()),
        };
        Ok(self.pad(text))
    }

    fn prefixed(&self, prefix: &str, text: String) -> String {
        if self.flags.contains('#') { format!("{prefix}{text}") } else { text }
    }

    fn cut(&self, text: String) -> String {
        self.precision.map_or(text.clone(), |length| text.chars().take(length).collect())
    }

    fn sign(&self, text: String) -> String {
        let text = if self.flags.contains(',') { thousands(&text) } else { text };
        match () {
            () if text.starts_with('-') && self.flags.contains('(') => format!("({})", &text[1..]),
            () if text.starts_with('-') => text,
            () if self.flags.contains('+') => format!("+{text}"),
            () if self.flags.contains(' ') => format!(" {text}"),
            () => text,
        }
    }

    fn pad(&self, text: String) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        match () {
            () if self.flags.contains('-') => format!("{text}{}", " ".repeat(missing)),
            () if self.flags.contains('0') && "dxXofe".contains(self.conversion) => {
                let (sign, digits) =
                    text.strip_prefix('-').map_or(("", text.as_str()), |d| ("-", d));
                format!("{sign}{}{digits}", "0".repeat(missing))
            }
            () => format!("{}{text}", " ".repeat(missing)),
        }
    }
}

fn digits(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut found = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        found.push(digit);
    }
    found.parse().ok()
}

/// Digits after the point, the last one rounded half up: of the shortest decimal text, as Java does.
fn fixed(number: f64, precision: usize) -> String {
    let exact = format!("{number}");
    let (whole, rest) = exact.split_once('.').unwrap_or((&exact, ""));
    if rest.len() <= precision || !number.is_finite() {
        return format!("{number:.precision$}");
    }
    let mut digits: Vec<u8> = whole.trim_start_matches('-').bytes().collect();
    digits.extend(rest.bytes().take(precision));
    if rest.as_bytes()[precision] >= b'5' {
        round_up(&mut digits);
    }
    let digits: String = digits.into_iter().map(char::from).collect();
    let (whole, rest) = digits.split_at(digits.len() - precision);
    let sign = if number < 0.0 { "-" } else { "" };
    let point = if precision == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{rest}")
}

fn round_up(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

/// `1.5e+04`: the exponent has a sign and two digits at least.
fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// So many digits in all.
fn general(number: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let size = number.abs();
    if number != 0.0 && !(1e-4..10_f64.powi(precision as i32)).contains(&size) {
        return scientific(number, precision - 1);
    }
    let whole = if size < 1.0 { 0 } else { size.log10().floor() as usize + 1 };
    fixed(number, precision.saturating_sub(whole.max(1)))
}

fn octal(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Int(number) => Some(format!("{number:o}")),
        other => other.whole().map(|number| format!("{number:o}")),
    }
}

fn hexadecimal(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Int(number) => Some(format!("{number:x}")),
        other => other.whole().map(|number| format!("{number:x}")),
    }
}

fn thousands(text: &str) -> String {
    let (whole, rest) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut made = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            made.push(',');
        }
        made.push(digit);
    }
    rest.map_or(format!("{sign}{made}"), |rest| format!("{sign}{made}.{rest}"))
}

//! Tokens → tree. Depth is counted, so that no text can exhaust the stack.

use crate::ast::{Binary, Node, Unary, Which};
use crate::lexer::{Spanned, Token, tokens};
use crate::{Error, Limits};

/// Reads an expression.
///
/// # Errors
/// [`Error::Parse`], or [`Error::Limit`] if it is too long or nests too deep.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Node, Error> {
    let max = limits.expression_chars_max;
    if text.len() > max && text.chars().count() > max {
        return Err(Error::Limit { name: "expression_chars_max", limit: max as u64 });
    }
    let tokens = tokens(text)?;
    let end = text.chars().count();
    let mut parser = Parser { tokens, at: 0, end, depth: 0, depth_max: limits.depth_max };
    if parser.tokens.is_empty() {
        return Err(parser.error("there is no expression"));
    }
    let node = parser.expression()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.error("EL1041E: after a whole expression there is more")),
    }
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    end: usize,
    depth: usize,
    depth_max: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|spanned| &spanned.token)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    fn is_at(&self, ahead: usize, sign: &str) -> bool {
        let token = self.tokens.get(self.at + ahead).map(|spanned| &spanned.token);
        matches!(token, Some(Token::Sign(found)) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: &str) -> Result<(), Error> {
        if self.take(sign) { Ok(()) } else { Err(self.error(format!("`{sign}` is missing"))) }
    }

    fn take_word(&mut self, words: &[&str]) -> Option<String> {
        let Some(Token::Name(name)) = self.peek() else { return None };
        let found = words.iter().find(|word| word.eq_ignore_ascii_case(name))?;
        self.at += 1;
        Some((*found).to_owned())
    }

    fn error(&self, message: impl Into<String>) -> Error {
        let at = self.tokens.get(self.at).map_or(self.end, |spanned| spanned.at);
        Error::Parse { message: message.into(), at }
    }

    fn name(&mut self) -> Result<String, Error> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.error("a name is missing")),
        }
    }

    /// Assignment is not for us: what follows `=` is more than an expression.
    fn expression(&mut self) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > self.depth_max {
            return Err(Error::Limit { name: "depth_max", limit: self.depth_max as u64 });
        }
        let node = self.ternary();
        self.depth -= 1;
        node
    }

    fn ternary(&mut self) -> Result<Node, Error> {
        let condition = self.or()?;
        if self.take("?:") {
            let otherwise = self.expression()?;
            return Ok(Node::Elvis(Box::new(condition), Box::new(otherwise)));
        }
        if self.take("?") {
            let then = self.expression()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            return Ok(Node::Ternary(Box::new(condition), Box::new(then), Box::new(otherwise)));
        }
        Ok(condition)
    }

    fn or(&mut self) -> Result<Node, Error> {
        let mut left = self.and()?;
        let mut length = 0;
        while self.take("||") || self.take_word(&["or"]).is_some() {
            self.lengthen(&mut length)?;
            left = binary(Binary::Or, left, self.and()?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, Error> {
        let mut left = self.relation()?;
        let mut length = 0;
        while self.take("&&") || self.take_word(&["and"]).is_some() {
            self.lengthen(&mut length)?;
            left = binary(Binary::And, left, self.relation()?);
        }
        Ok(left)
    }

    fn relation(&mut self) -> Result<Node, Error> {
        let left = self.sum()?;
        match self.relational() {
            None => Ok(left),
            Some(operator) => Ok(binary(operator, left, self.sum()?)),
        }
    }

    fn relational(&mut self) -> Option<Binary> {
        const SIGNS: [(&str, Binary); 6] = [
            ("==", Binary::Equal),
            ("!=", Binary::NotEqual),
            ("<=", Binary::LessOrEqual),
            (">=", Binary::GreaterOrEqual),
            ("<", Binary::Less),
            (">", Binary::Greater),
        ];
        const WORDS: [(&str, Binary); 9] = [
            ("eq", Binary::Equal),
            ("ne", Binary::NotEqual),
            ("le", Binary::LessOrEqual),
            ("ge", Binary::GreaterOrEqual),
            ("lt", Binary::Less),
            ("gt", Binary::Greater),
            ("instanceof", Binary::InstanceOf),
            ("matches", Binary::Matches),
            ("between", Binary::Between),
        ];
        if let Some((_, found)) = SIGNS.into_iter().find(|(sign, _)| self.is(sign)) {
            self.at += 1;
            return Some(found);
        }
        let word = self.take_word(&WORDS.map(|(word, _)| word))?;
        WORDS.into_iter().find(|(name, _)| *name == word).map(|(_, found)| found)
    }

    fn sum(&mut self) -> Result<Node, Error> {
        let mut left = self.product()?;
        let mut length = 0;
        loop {
            self.lengthen(&mut length)?;
            let operator = match () {
                () if self.take("+") => Binary::Add,
                () if self.take("-") => Binary::Subtract,
                () => return Ok(left),
            };
            left = binary(operator, left, self.product()?);
        }
    }

    fn product(&mut self) -> Result<Node, Error> {
        let mut left = self.power()?;
        let mut length = 0;
        loop {
            self.lengthen(&mut length)?;
            let operator = match () {
                () if self.take("*") => Binary::Multiply,
                () if self.take("/") || self.take_word(&["div"]).is_some() => Binary::Divide,
                () if self.take("%") || self.take_word(&["mod"]).is_some() => Binary::Remainder,
                () => return Ok(left),
            };
            left = binary(operator, left, self.power()?);
        }
    }

    fn power(&mut self) -> Result<Node, Error> {
        let base = self.unary()?;
        if self.take("^") {
            return Ok(binary(Binary::Power, base, self.unary()?));
        }
        Ok(base)
    }

    fn unary(&mut self) -> Result<Node, Error> {
        let operator = match () {
            () if self.take("!") || self.take_word(&["not"]).is_some() => Unary::Not,
            () if self.take("-") => Unary::Minus,
            () if self.take("+") => Unary::Plus,
            () => return self.postfix(),
        };
        self.depth += 1;
        if self.depth > self.depth_max {
            return Err(Error::Limit { name: "depth_max", limit: self.depth_max as u64 });
        }
        let operand = self.unary();
        self.depth -= 1;
        Ok(Node::Unary(operator, Box::new(operand?)))
    }

    fn postfix(&mut self) -> Result<Node, Error> {
        let mut node = self.primary()?;
        let mut length = 0;
        loop {
            let of = Box::new(node);
            node = match () {
                () if self.take(".") => self.member(of, false)?,
                () if self.take("?.") => self.member(of, true)?,
                () if self.is("[") => self.index(of, false)?,
                () => return Ok(*of),
            };
            self.lengthen(&mut length)?;
        }
    }

    /// A chain is a tree that leans to one side: as deep as it is long.
    fn lengthen(&self, length: &mut usize) -> Result<(), Error> {
        *length += 1;
        if *length > 4 * self.depth_max {
            return Err(Error::Limit { name: "depth_max", limit: self.depth_max as u64 });
        }
        Ok(())
    }

    fn member(&mut self, of: Box<Node>, safe: bool) -> Result<Node, Error> {
        let which = match () {
            () if self.take("?[") => Some(Which::All),
            () if self.take("^[") => Some(Which::First),
            () if self.take("$[") => Some(Which::Last),
            () => None,
        };
        if let Some(which) = which {
            let keep = Box::new(self.expression()?);
            self.expect("]")?;
            return Ok(Node::Selection { of, which, keep, safe });
        }
        if self.take("![") {
            let each = Box::new(self.expression()?);
            self.expect("]")?;
            return Ok(Node::Projection { of, each, safe });
        }
        if safe && self.is("[") {
            return self.index(of, true);
        }
        let name = self.name()?;
        if self.is("(") {
            let args = self.arguments()?;
            return Ok(Node::Method { of, name, args, safe });
        }
        Ok(Node::Property { of, name, safe })
    }

    fn index(&mut self, of: Box<Node>, safe: bool) -> Result<Node, Error> {
        self.expect("[")?;
        let index = Box::new(self.expression()?);
        self.expect("]")?;
        Ok(Node::Index { of, index, safe })
    }

    fn arguments(&mut self) -> Result<Vec<Node>, Error> {
        self.expect("(")?;
        self.list_until(")")
    }

    fn list_until(&mut self, end: &str) -> Result<Vec<Node>, Error> {
        let mut list = Vec::new();
        if self.take(end) {
            return Ok(list);
        }
        loop {
            list.push(self.expression()?);
            if self.take(end) {
                return Ok(list);
            }
            self.expect(",")?;
        }
    }

    fn primary(&mut self) -> Result<Node, Error> {
        let token = self.peek().cloned().ok_or_else(|| self.error("EL1044E: it ends too early"))?;
        match token {
            Token::Int(number) => Ok(self.literal(Node::Int(number))),
            Token::Long(number) => Ok(self.literal(Node::Long(number))),
            Token::Double(number) => Ok(self.literal(Node::Double(number))),
            Token::Text(text) => Ok(self.literal(Node::Text(text))),
            Token::Name(name) => self.named(name),
            Token::Sign("(") => {
                self.at += 1;
                let node = self.expression()?;
                self.expect(")")?;
                Ok(node)
            }
            Token::Sign("#") => self.variable(),
            Token::Sign("{") => self.braces(),
            Token::Sign("@" | "&") => {
                Err(Error::Forbidden("references to beans are not allowed in expressions".into()))
            }
            Token::Sign(_) => Err(self.error("EL1049E: an expression cannot begin like this")),
        }
    }

    fn literal(&mut self, node: Node) -> Node {
        self.at += 1;
        node
    }

    fn named(&mut self, name: String) -> Result<Node, Error> {
        match name.to_ascii_lowercase().as_str() {
            "null" => return Ok(self.literal(Node::Null)),
            "true" => return Ok(self.literal(Node::Bool(true))),
            "false" => return Ok(self.literal(Node::Bool(false))),
            _ => {}
        }
        self.at += 1;
        if name == "T" && self.is("(") {
            self.expect("(")?;
            let class = self.class_name()?;
            self.expect(")")?;
            return Ok(Node::Type(class));
        }
        if name.eq_ignore_ascii_case("new") && matches!(self.peek(), Some(Token::Name(_))) {
            return self.construction();
        }
        if self.is("(") {
            return Ok(Node::Call(name, self.arguments()?));
        }
        Ok(Node::Name(name))
    }

    fn class_name(&mut self) -> Result<String, Error> {
        let mut name = self.name()?;
        while self.take(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        while self.is("[") && self.is_at(1, "]") {
            self.at += 2;
            name.push_str("[]");
        }
        Ok(name)
    }

    fn construction(&mut self) -> Result<Node, Error> {
        let mut name = self.name()?;
        while self.take(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        if self.is("[") {
            self.expect("[")?;
            if !self.take("]") {
                let length = Box::new(self.expression()?);
                self.expect("]")?;
                return Ok(Node::NewEmpty(name, length));
            }
            self.expect("{")?;
            return Ok(Node::NewArray(name, self.list_until("}")?));
        }
        Ok(Node::New(name, self.arguments()?))
    }

    fn variable(&mut self) -> Result<Node, Error> {
        self.expect("#")?;
        let name = self.name()?;
        if self.is("(") {
            return Ok(Node::Function(name, self.arguments()?));
        }
        Ok(Node::Variable(name))
    }

    /// `{}`, `{1, 2}`, `{:}`, `{a: 1}`.
    fn braces(&mut self) -> Result<Node, Error> {
        self.expect("{")?;
        if self.take("}") {
            return Ok(Node::List(Vec::new()));
        }
        if self.take(":") {
            self.expect("}")?;
            return Ok(Node::Map(Vec::new()));
        }
        let first = self.expression()?;
        if self.take(":") {
            return self.map(first);
        }
        let mut list = vec![first];
        while !self.take("}") {
            self.expect(",")?;
            list.push(self.expression()?);
        }
        Ok(Node::List(list))
    }

    fn map(&mut self, first: Node) -> Result<Node, Error> {
        let mut entries = vec![(first, self.expression()?)];
        while !self.take("}") {
            self.expect(",")?;
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
        }
        Ok(Node::Map(entries))
    }
}

fn binary(operator: Binary, left: Node, right: Node) -> Node {
    Node::Binary(operator, Box::new(left), Box::new(right))
}

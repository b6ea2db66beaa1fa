//! Tree → value.

pub(crate) mod access;
mod objects;
pub(crate) mod operators;

use std::rc::Rc;

use crate::ast::{Node, Which};
use crate::value::{Entries, Val};
use crate::{Context, Error, functions, methods, parser};

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Evaluates an expression's text (without delimiters).
///
/// # Errors
/// [`Error`] if it is no expression or has no value.
pub(crate) fn evaluate<'a>(text: &str, context: &Context<'a>) -> Result<Val<'a>> {
    let node = parser::parse(text, context.limits)?;
    let mut run = Run { context: *context, this: vec![Val::Root], fuel: 0, memory: 0, depth: 0 };
    let value = run.node(&node)?;
    Ok(match value {
        Val::Root => Val::from_object(context.root),
        other => other,
    })
}

/// One evaluation under way.
pub(crate) struct Run<'a> {
    pub(crate) context: Context<'a>,
    /// What bare names are looked up in, innermost last; `#this`.
    pub(crate) this: Vec<Val<'a>>,
    fuel: u64,
    memory: u64,
    depth: usize,
}

impl<'a> Run<'a> {
    /// Takes steps.
    pub(crate) fn burn(&mut self, steps: u64) -> Result<()> {
        let limit = self.context.limits.fuel_steps_max;
        self.fuel += steps;
        if self.fuel > limit { Err(Error::Limit { name: "fuel_steps_max", limit }) } else { Ok(()) }
    }

    /// Takes memory for a value that was made.
    pub(crate) fn make(&mut self, value: Val<'a>) -> Result<Val<'a>> {
        self.reserve(value.weight())?;
        Ok(value)
    }

    /// Takes memory that is about to be used.
    pub(crate) fn reserve(&mut self, bytes: u64) -> Result<()> {
        let limit = self.context.limits.memory_bytes_max;
        self.memory = self.memory.saturating_add(bytes);
        if self.memory > limit {
            return Err(Error::Limit { name: "memory_bytes_max", limit });
        }
        self.burn(bytes / 64)
    }

    pub(crate) fn node(&mut self, node: &Node) -> Result<Val<'a>> {
        self.burn(1)?;
        self.depth += 1;
        // The parser's limit bounds each chain and each nesting; both together are bounded here.
        let limit = 8 * self.context.limits.depth_max;
        if self.depth > limit {
            return Err(Error::Limit { name: "depth_max", limit: limit as u64 });
        }
        let value = self.any(node);
        self.depth -= 1;
        value
    }

    fn any(&mut self, node: &Node) -> Result<Val<'a>> {
        match node {
            Node::Null => Ok(Val::Null),
            Node::Bool(truth) => Ok(Val::Bool(*truth)),
            Node::Int(number) => Ok(Val::Int(*number)),
            Node::Long(number) => Ok(Val::Long(*number)),
            Node::Double(number) => Ok(Val::Double(*number)),
            Node::Text(text) => self.make(Val::text(text)),
            Node::List(items) => self.list(items).map(Val::list),
            Node::Map(entries) => self.map(entries),
            Node::Variable(name) => self.variable(name),
            Node::Function(name, args) => {
                let args = self.list(args)?;
                let value = functions::call(self, name, args)?;
                self.make(value)
            }
            Node::Name(name) => self.bare_name(name),
            Node::Call(name, args) => {
                let args = self.list(args)?;
                let this = self.current();
                methods::call(self, &this, name, args)
            }
            Node::Type(name) => methods::class(name).map(Val::Class),
            Node::New(name, args) => {
                let args = self.list(args)?;
                methods::construct(self, name, args)
            }
            Node::NewArray(name, items) => self.array(name, items),
            Node::NewEmpty(name, length) => self.empty_array(name, length),
            Node::Property { of, name, safe } => self.property(of, name, *safe),
            Node::Method { of, name, args, safe } => self.method(of, name, args, *safe),
            Node::Index { of, index, safe } => self.index(of, index, *safe),
            Node::Selection { of, which, keep, safe } => self.selection(of, *which, keep, *safe),
            Node::Projection { of, each, safe } => self.projection(of, each, *safe),
            Node::Unary(operator, operand) => self.unary(*operator, operand),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right),
            Node::Ternary(condition, then, otherwise) => {
                let condition = self.node(condition)?;
                if truth(&condition)? { self.node(then) } else { self.node(otherwise) }
            }
            Node::Elvis(value, otherwise) => {
                let value = self.node(value)?;
                let empty = matches!(&value, Val::Text(text) if text.is_empty());
                if value.is_null() || empty { self.node(otherwise) } else { Ok(value) }
            }
        }
    }

    pub(crate) fn current(&self) -> Val<'a> {
        self.this.last().cloned().unwrap_or(Val::Root)
    }

    fn list(&mut self, nodes: &[Node]) -> Result<Vec<Val<'a>>> {
        self.reserve(32 * nodes.len() as u64)?;
        nodes.iter().map(|node| self.node(node)).collect()
    }

    fn map(&mut self, nodes: &[(Node, Node)]) -> Result<Val<'a>> {
        let mut entries = Entries::new();
        for (key, value) in nodes {
            let key = match key {
                Node::Name(name) => name.clone(),
                other => self.node(other)?.to_text(),
            };
            let value = self.node(value)?;
            entries.insert(key, value);
        }
        self.make(Val::Map(Rc::new(entries)))
    }

    fn array(&mut self, name: &str, items: &[Node]) -> Result<Val<'a>> {
        let items = self.list(items)?;
        self.make(Val::Array(Rc::new(methods::array(name, &items)?)))
    }

    fn empty_array(&mut self, name: &str, length: &Node) -> Result<Val<'a>> {
        let length = self.node(length)?;
        Ok(Val::Array(Rc::new(methods::empty_array(self, name, &length)?)))
    }

    /// The root as the map that it is in Spinnaker; every other value as it is.
    pub(crate) fn whole_root(&self, value: Val<'a>) -> Val<'a> {
        match value {
            Val::Root => Val::from_object(self.context.root),
            other => other,
        }
    }

    fn variable(&mut self, name: &str) -> Result<Val<'a>> {
        match name {
            "root" => Ok(Val::Root),
            "this" => Ok(self.current()),
            // Spring gives null for a variable that nobody set.
            _ => Ok(Val::Null),
        }
    }

    fn method(&mut self, of: &Node, name: &str, args: &[Node], safe: bool) -> Result<Val<'a>> {
        let of = self.node(of)?;
        if of.is_null() {
            let message =
                format!("EL1011E: Method call: Attempted to call method {name}() on null");
            return if safe { Ok(Val::Null) } else { Err(Error::Evaluate(message)) };
        }
        let args = self.list(args)?;
        methods::call(self, &of, name, args)
    }

    /// Elements that a selection or a projection goes through; `None` for what cannot be.
    fn elements(value: &Val<'a>) -> Option<Vec<Val<'a>>> {
        match value {
            Val::List(list) | Val::Array(list) => Some(list.to_vec()),
            _ => None,
        }
    }

    fn within(&mut self, this: Val<'a>, node: &Node) -> Result<Val<'a>> {
        self.this.push(this);
        let value = self.node(node);
        self.this.pop();
        value
    }

    fn selection(&mut self, of: &Node, which: Which, keep: &Node, safe: bool) -> Result<Val<'a>> {
        let of = self.node(of)?;
        if of.is_null() && safe {
            return Ok(Val::Null);
        }
        if let Val::Map(map) = &of {
            return self.map_selection(&Rc::clone(map), which, keep);
        }
        let elements = Self::elements(&of).ok_or_else(|| bad_target("selection", &of))?;
        let mut kept = Vec::new();
        for element in elements {
            let verdict = self.within(element.clone(), keep)?;
            if !is_selected(&verdict)? {
                continue;
            }
            kept.push(element);
            if which == Which::First {
                break;
            }
        }
        match which {
            Which::All => self.make(Val::list(kept)),
            Which::First => Ok(kept.into_iter().next().unwrap_or(Val::Null)),
            Which::Last => Ok(kept.pop().unwrap_or(Val::Null)),
        }
    }

    /// Entries of a map are untyped, so that `key` and `value` are refused: only constant conditions
    /// have a result.
    fn map_selection(&mut self, map: &Entries<'a>, which: Which, keep: &Node) -> Result<Val<'a>> {
        let mut kept = Entries::new();
        for (key, value) in map {
            let entry = Val::Entry(Rc::new((key.clone(), value.clone())));
            let verdict = self.within(entry, keep)?;
            if is_selected(&verdict)? {
                kept.insert(key.clone(), value.clone());
            }
        }
        let one = |entry: Option<(String, Val<'a>)>| match entry {
            None => Val::Null,
            Some((key, value)) => Val::Map(Rc::new(Entries::from([(key, value)]))),
        };
        let value = match which {
            Which::All => Val::Map(Rc::new(kept)),
            Which::First => one(kept.into_iter().next()),
            Which::Last => one(kept.pop()),
        };
        self.make(value)
    }

    fn projection(&mut self, of: &Node, each: &Node, safe: bool) -> Result<Val<'a>> {
        let of = self.node(of)?;
        if of.is_null() && safe {
            return Ok(Val::Null);
        }
        let elements = match &of {
            Val::Map(map) => Val::entries(map),
            other => Self::elements(other).ok_or_else(|| bad_target("projection", other))?,
        };
        let mut made = Vec::with_capacity(elements.len());
        for element in elements {
            made.push(self.within(element, each)?);
        }
        self.make(Val::list(made))
    }
}

fn bad_target(what: &str, of: &Val<'_>) -> Error {
    Error::Evaluate(format!("EL1029E: a {what} cannot be made on {}", of.kind()))
}

fn is_selected(verdict: &Val<'_>) -> Result<bool> {
    match verdict {
        Val::Bool(truth) => Ok(*truth),
        other => Err(Error::Evaluate(format!(
            "EL1028E: the condition of a selection is {}, not a boolean",
            other.kind()
        ))),
    }
}

/// A value where a boolean is needed: Spring takes some words for one.
pub(crate) fn truth(value: &Val<'_>) -> Result<bool> {
    let bad = || Error::bad_type(value.kind(), "boolean");
    match value {
        Val::Bool(truth) => Ok(*truth),
        Val::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(bad()),
        },
        _ => Err(bad()),
    }
}

//! An expression as a tree.

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// `#name`.
    Variable(String),
    /// `#name(…)`.
    Function(String, Vec<Node>),
    /// A bare name: a property of what is looked at.
    Name(String),
    /// A bare call: a method of what is looked at.
    Call(String, Vec<Node>),
    /// `T(name)`.
    Type(String),
    /// `new name(…)`.
    New(String, Vec<Node>),
    /// `new name[]{…}`.
    NewArray(String, Vec<Node>),
    /// `new name[length]`.
    NewEmpty(String, Box<Node>),
    /// `a.b`, `a?.b`.
    Property {
        of: Box<Node>,
        name: String,
        safe: bool,
    },
    /// `a.b(…)`, `a?.b(…)`.
    Method {
        of: Box<Node>,
        name: String,
        args: Vec<Node>,
        safe: bool,
    },
    /// `a[b]`.
    Index {
        of: Box<Node>,
        index: Box<Node>,
        safe: bool,
    },
    /// `a.?[b]`, `a.^[b]`, `a.$[b]`.
    Selection {
        of: Box<Node>,
        which: Which,
        keep: Box<Node>,
        safe: bool,
    },
    /// `a.![b]`.
    Projection {
        of: Box<Node>,
        each: Box<Node>,
        safe: bool,
    },
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    Ternary(Box<Node>, Box<Node>, Box<Node>),
    Elvis(Box<Node>, Box<Node>),
}

/// Which elements a selection keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    First,
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    InstanceOf,
    Matches,
    Between,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

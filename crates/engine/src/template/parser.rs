//! Tokens to a tree. Recursive descent; depth is limited, so that hostile templates cannot overflow the stack.

use std::{iter::Peekable, vec::IntoIter};

use serde_json::Value;

use super::{
    TemplateError,
    functions::{self, Function},
    lexer::{self, Piece, Token},
};

const DEPTH: usize = 64;

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If {
        condition: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    With {
        value: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Range {
        key: Option<String>,
        item: Option<String>,
        over: Pipeline,
        body: Vec<Self>,
        otherwise: Vec<Self>,
    },
}

/// `$x := first | second | third`
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) store: Option<Store>,
    pub(super) commands: Vec<Command>,
    /// As it was written, for errors.
    pub(super) source: String,
}

/// What a pipeline does with its value instead of printing it.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Declare(String),
    Assign(String),
}

/// One value, or a function and its arguments.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Value(Operand),
    Call {
        function: &'static Function,
        arguments: Vec<Operand>,
    },
}

/// Something that has a value.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Dot,
    Literal(Value),
    Variable(String),
    Group(Box<Pipeline>),
    /// A function as an argument of another: called with nothing.
    Call(&'static Function),
    Field {
        of: Box<Self>,
        name: String,
    },
}

/// Reads a whole template.
pub(super) fn parse(template: &str) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser {
        pieces: lexer::pieces(template)?.into_iter().peekable(),
    };
    let (nodes, end) = parser.nodes(0)?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(TemplateError::StrayEnd(end.to_owned())),
    }
}

struct Parser<'t> {
    pieces: Peekable<IntoIter<Piece<'t>>>,
}

impl<'t> Parser<'t> {
    /// Reads nodes up to the `else…` or `end` that it returns, or up to the end of the template.
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node>, Option<&'t str>), TemplateError> {
        if depth > DEPTH {
            return Err(TemplateError::TooDeep { limit: DEPTH });
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(unescape(text)));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let word = action.split([' ', '\t', '\n', '\r', '(', '"', '`']).next();
            match word.unwrap_or_default() {
                "end" | "else" => return Ok((nodes, Some(action))),
                "if" => nodes.push(self.conditional(action, "if", depth)?),
                "with" => nodes.push(self.conditional(action, "with", depth)?),
                "range" => nodes.push(self.range(action, depth)?),
                word @ ("define" | "template" | "block" | "break" | "continue") => {
                    return Err(TemplateError::NotSupported(word.to_owned()));
                }
                _ => nodes.push(Node::Print(Actions::new(action)?.whole(depth)?)),
            }
        }
        Ok((nodes, None))
    }

    fn conditional(
        &mut self,
        action: &'t str,
        word: &str,
        depth: usize,
    ) -> Result<Node, TemplateError> {
        let value = Actions::new(&action[word.len()..])?.whole(depth)?;
        let (then, otherwise) = self.branches(action, word, depth)?;
        Ok(match word {
            "with" => Node::With {
                value,
                then,
                otherwise,
            },
            _ => Node::If {
                condition: value,
                then,
                otherwise,
            },
        })
    }

    fn range(&mut self, action: &'t str, depth: usize) -> Result<Node, TemplateError> {
        let mut actions = Actions::new(&action["range".len()..])?;
        let (key, item) = actions.loop_variables();
        let over = actions.whole(depth)?;
        let (body, otherwise) = self.branches(action, "range", depth)?;
        Ok(Node::Range {
            key,
            item,
            over,
            body,
            otherwise,
        })
    }

    /// Reads the nodes up to `{{end}}`, and those after `{{else}}`. `{{else if …}}` is an `if` inside the else that shares
    /// the `{{end}}`.
    fn branches(
        &mut self,
        opened: &'t str,
        word: &str,
        depth: usize,
    ) -> Result<(Vec<Node>, Vec<Node>), TemplateError> {
        let missing = || TemplateError::MissingEnd {
            opened: opened.to_owned(),
        };
        let (then, end) = self.nodes(depth + 1)?;
        let end = end.ok_or_else(missing)?;
        if end == "end" {
            return Ok((then, Vec::new()));
        }
        let rest = end.strip_prefix("else").unwrap_or_default().trim();
        if rest.is_empty() && end.starts_with("else") {
            let (otherwise, end) = self.nodes(depth + 1)?;
            return match end {
                Some("end") => Ok((then, otherwise)),
                Some(other) => Err(TemplateError::StrayEnd(other.to_owned())),
                None => Err(missing()),
            };
        }
        let chained = rest.starts_with(word) && rest[word.len()..].starts_with([' ', '\t', '(']);
        if word != "range" && chained {
            return Ok((then, vec![self.conditional(rest, word, depth + 1)?]));
        }
        Err(TemplateError::StrayEnd(end.to_owned()))
    }
}

/// Turns `\t` and `\n` in text into what they say: shells pass them through, and docker reads them.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// The tokens of one action, being read.
struct Actions<'t> {
    source: &'t str,
    tokens: Peekable<IntoIter<Token>>,
}

impl<'t> Actions<'t> {
    fn new(source: &'t str) -> Result<Self, TemplateError> {
        let source = source.trim();
        Ok(Self {
            source,
            tokens: lexer::tokens(source)?.into_iter().peekable(),
        })
    }

    /// Reads a pipeline that must be all there is.
    fn whole(mut self, depth: usize) -> Result<Pipeline, TemplateError> {
        let pipeline = self.pipeline(depth)?;
        match self.tokens.next() {
            None => Ok(pipeline),
            Some(token) => Err(self.unexpected(&token)),
        }
    }

    /// Reads `$i, $v :=` or `$v :=` in front of what `range` goes over.
    fn loop_variables(&mut self) -> (Option<String>, Option<String>) {
        let tokens: Vec<Token> = self.tokens.clone().take(4).collect();
        let (names, length) = match &tokens[..] {
            [
                Token::Variable(key),
                Token::Comma,
                Token::Variable(item),
                Token::Declare,
            ] => ((Some(key.clone()), Some(item.clone())), 4),
            [Token::Variable(item), Token::Declare, ..] => ((None, Some(item.clone())), 2),
            _ => return (None, None),
        };
        self.tokens.by_ref().take(length).for_each(drop);
        names
    }

    fn pipeline(&mut self, depth: usize) -> Result<Pipeline, TemplateError> {
        if depth > DEPTH {
            return Err(TemplateError::TooDeep { limit: DEPTH });
        }
        let store = self.store();
        let mut commands = vec![self.command(depth)?];
        while self.tokens.next_if_eq(&Token::Pipe).is_some() {
            commands.push(self.command(depth)?);
        }
        Ok(Pipeline {
            store,
            commands,
            source: self.source.to_owned(),
        })
    }

    /// Reads `$x :=` or `$x =`.
    fn store(&mut self) -> Option<Store> {
        let tokens: Vec<Token> = self.tokens.clone().take(2).collect();
        let store = match &tokens[..] {
            [Token::Variable(name), Token::Declare] => Store::Declare(name.clone()),
            [Token::Variable(name), Token::Assign] => Store::Assign(name.clone()),
            _ => return None,
        };
        self.tokens.by_ref().take(2).for_each(drop);
        Some(store)
    }

    fn command(&mut self, depth: usize) -> Result<Command, TemplateError> {
        if let Some(Token::Word(name)) = self.tokens.peek() {
            let function = functions::find(name)?;
            self.tokens.next();
            let mut arguments = Vec::new();
            while !matches!(self.tokens.peek(), None | Some(Token::Pipe | Token::Close)) {
                arguments.push(self.operand(depth)?);
            }
            return Ok(Command::Call {
                function,
                arguments,
            });
        }
        let value = self.operand(depth)?;
        match self.tokens.peek() {
            None | Some(Token::Pipe | Token::Close) => Ok(Command::Value(value)),
            // A method of docker's rows, the only one: `.Label "name"`.
            Some(_) if matches!(&value, Operand::Field { name, .. } if name == "Label") => {
                let row = match value {
                    Operand::Field { of, .. } => *of,
                    value => value,
                };
                let arguments = vec![row, self.operand(depth)?];
                let function = &functions::LABEL;
                Ok(Command::Call {
                    function,
                    arguments,
                })
            }
            Some(Token::Comma | Token::Declare | Token::Assign) => {
                let token = self.tokens.next().unwrap_or(Token::Comma);
                Err(self.unexpected(&token))
            }
            Some(_) => Err(TemplateError::NotAFunction(self.source.to_owned())),
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, TemplateError> {
        let Some(token) = self.tokens.next() else {
            return Err(TemplateError::Incomplete {
                action: self.source.to_owned(),
            });
        };
        let mut operand = match token {
            Token::Dot => Operand::Dot,
            Token::Field { name, .. } => Operand::Field {
                of: Box::new(Operand::Dot),
                name,
            },
            Token::Variable(name) => Operand::Variable(name),
            Token::Literal(value) => Operand::Literal(value),
            Token::Word(name) => Operand::Call(functions::find(&name)?),
            Token::Open => {
                let group = self.pipeline(depth + 1)?;
                match self.tokens.next() {
                    Some(Token::Close) => Operand::Group(Box::new(group)),
                    Some(token) => return Err(self.unexpected(&token)),
                    None => {
                        return Err(TemplateError::Incomplete {
                            action: self.source.to_owned(),
                        });
                    }
                }
            }
            token => return Err(self.unexpected(&token)),
        };
        // The chain's length is that of the template: boxes nest as deep as there are dots, so it is limited as well.
        let mut dots = 0;
        while let Some(Token::Field { name, .. }) = self
            .tokens
            .next_if(|token| matches!(token, Token::Field { glued: true, .. }))
        {
            dots += 1;
            if dots > DEPTH {
                return Err(TemplateError::TooDeep { limit: DEPTH });
            }
            operand = Operand::Field {
                of: Box::new(operand),
                name,
            };
        }
        Ok(operand)
    }

    fn unexpected(&self, token: &Token) -> TemplateError {
        TemplateError::Unexpected {
            word: token.to_string(),
            action: self.source.to_owned(),
        }
    }
}

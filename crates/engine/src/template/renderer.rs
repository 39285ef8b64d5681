//! The tree over a value.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    TemplateError, functions,
    parser::{Command, Node, Operand, Pipeline, Store},
    printer, type_name,
};
use crate::near::near;

/// Renders nodes over the value that `.` and `$` mean at the start.
pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, TemplateError> {
    let mut renderer = Renderer {
        variables: vec![("$", Cow::Borrowed(value))],
        out: String::new(),
    };
    renderer.nodes(nodes, &Cow::Borrowed(value))?;
    Ok(renderer.out)
}

struct Renderer<'v> {
    /// Innermost last; a block forgets those declared inside it.
    variables: Vec<(&'v str, Cow<'v, Value>)>,
    out: String,
}

#[expect(
    clippy::ptr_arg,
    reason = "a borrowed value is passed on with its own lifetime, which `&Value` would shorten"
)]
impl<'v> Renderer<'v> {
    fn nodes(&mut self, nodes: &'v [Node], dot: &Cow<'v, Value>) -> Result<(), TemplateError> {
        nodes.iter().try_for_each(|node| self.node(node, dot))
    }

    /// Renders a block: its variables end with it.
    fn block(&mut self, nodes: &'v [Node], dot: &Cow<'v, Value>) -> Result<(), TemplateError> {
        let outside = self.variables.len();
        let result = self.nodes(nodes, dot);
        self.variables.truncate(outside);
        result
    }

    fn node(&mut self, node: &'v Node, dot: &Cow<'v, Value>) -> Result<(), TemplateError> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.store.is_none() {
                    printer::print(&value, &mut self.out);
                }
            }
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                let outside = self.variables.len();
                let chosen = if functions::truth(&*self.pipeline(condition, dot)?) {
                    then
                } else {
                    otherwise
                };
                self.block(chosen, dot)?;
                self.variables.truncate(outside);
            }
            Node::With {
                value,
                then,
                otherwise,
            } => {
                let outside = self.variables.len();
                let value = self.pipeline(value, dot)?;
                if functions::truth(&value) {
                    self.block(then, &value)?;
                } else {
                    self.block(otherwise, dot)?;
                }
                self.variables.truncate(outside);
            }
            Node::Range {
                key,
                item,
                over,
                body,
                otherwise,
            } => {
                let items = items(self.pipeline(over, dot)?)?;
                if items.is_empty() {
                    self.block(otherwise, dot)?;
                }
                for (name, value) in items {
                    let outside = self.variables.len();
                    if let Some(key) = key {
                        self.variables.push((key, Cow::Owned(name)));
                    }
                    if let Some(item) = item {
                        self.variables.push((item, value.clone()));
                    }
                    self.nodes(body, &value)?;
                    self.variables.truncate(outside);
                }
            }
        }
        Ok(())
    }

    fn pipeline(
        &mut self,
        pipeline: &'v Pipeline,
        dot: &Cow<'v, Value>,
    ) -> Result<Cow<'v, Value>, TemplateError> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(match command {
                Command::Value(operand) if piped.is_none() => self.operand(operand, dot)?,
                Command::Value(_) => {
                    return Err(TemplateError::NotAFunction(pipeline.source.clone()));
                }
                Command::Call {
                    function,
                    arguments,
                } => {
                    let mut values = Vec::with_capacity(arguments.len() + 1);
                    for argument in arguments {
                        let value = self.operand(argument, dot)?;
                        let enough = function.stops_at == Some(functions::truth(&value));
                        values.push(value);
                        // `and` and `or` do not look at what they do not need, as in Go.
                        if enough {
                            break;
                        }
                    }
                    values.extend(piped.take());
                    function.call(&values)?
                }
            });
        }
        let value = piped.unwrap_or(Cow::Owned(Value::Null));
        match &pipeline.store {
            None => {}
            Some(Store::Declare(name)) => self.variables.push((name, value.clone())),
            Some(Store::Assign(name)) => *self.variable(name)? = value.clone(),
        }
        Ok(value)
    }

    fn operand(
        &mut self,
        operand: &'v Operand,
        dot: &Cow<'v, Value>,
    ) -> Result<Cow<'v, Value>, TemplateError> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Literal(value) => Ok(Cow::Borrowed(value)),
            Operand::Variable(name) => self.variable(name).cloned(),
            Operand::Group(pipeline) => self.pipeline(pipeline, dot),
            Operand::Call(function) => function.call(&[]),
            Operand::Field { of, name } => field(self.operand(of, dot)?, name),
        }
    }

    fn variable(&mut self, name: &str) -> Result<&mut Cow<'v, Value>, TemplateError> {
        self.variables
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .ok_or_else(|| TemplateError::UnknownVariable(name.to_owned()))
    }
}

/// Returns a field of an object, or says which fields are near.
fn field<'v>(value: Cow<'v, Value>, name: &str) -> Result<Cow<'v, Value>, TemplateError> {
    let Value::Object(object) = &*value else {
        return Err(TemplateError::NotAnObject {
            field: name.to_owned(),
            found: type_name(&value),
        });
    };
    if !object.contains_key(name) {
        let near = near(name, object.keys().map(String::as_str));
        return Err(TemplateError::NoField {
            field: name.to_owned(),
            near,
        });
    }
    Ok(match value {
        Cow::Borrowed(value) => value
            .get(name)
            .map_or(Cow::Owned(Value::Null), Cow::Borrowed),
        Cow::Owned(mut value) => Cow::Owned(value.get_mut(name).map_or(Value::Null, Value::take)),
    })
}

/// Returns what `range` goes over: lists in order, objects sorted by key.
fn items(value: Cow<'_, Value>) -> Result<Vec<(Value, Cow<'_, Value>)>, TemplateError> {
    let mut items: Vec<(Value, Cow<'_, Value>)> = match value {
        Cow::Borrowed(Value::Null) | Cow::Owned(Value::Null) => Vec::new(),
        Cow::Borrowed(Value::Array(list)) => list
            .iter()
            .enumerate()
            .map(|(at, item)| (at.into(), Cow::Borrowed(item)))
            .collect(),
        Cow::Owned(Value::Array(list)) => list
            .into_iter()
            .enumerate()
            .map(|(at, item)| (at.into(), Cow::Owned(item)))
            .collect(),
        Cow::Borrowed(Value::Object(object)) => object
            .iter()
            .map(|(key, item)| (key.as_str().into(), Cow::Borrowed(item)))
            .collect(),
        Cow::Owned(Value::Object(object)) => object
            .into_iter()
            .map(|(key, item)| (key.into(), Cow::Owned(item)))
            .collect(),
        other => {
            return Err(TemplateError::NotIterable {
                found: type_name(&other),
            });
        }
    };
    // Only object keys are texts; indexes are in order already.
    items.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
    Ok(items)
}

//! The filter as a graph of decisions, and its translation to instructions.
//!
//! Nodes are made once: equal ones are the same node, so rules that ask the same share code. Instructions are laid out from
//! the last to the first, because jumps only lead forward: when a node is placed, all it leads to has a place.

use std::collections::BTreeMap;

/// One instruction of classic BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jt: u8,
    pub(crate) jf: u8,
    pub(crate) k: u32,
}

/// Operation codes of <linux/bpf_common.h>, as far as filters here use them.
pub(crate) mod code {
    /// `A = data[k]`
    pub(crate) const LOAD: u16 = 0x20;
    /// `A &= k`
    pub(crate) const AND: u16 = 0x54;
    pub(crate) const JUMP: u16 = 0x05;
    pub(crate) const JUMP_EQUAL: u16 = 0x15;
    pub(crate) const JUMP_GREATER: u16 = 0x25;
    pub(crate) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
    /// `A & k != 0`
    pub(crate) const JUMP_ANY_BIT: u16 = 0x45;
    pub(crate) const RETURN: u16 = 0x06;
}

/// Where a node is in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(usize);

/// A question about the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    /// Any of these bits is set.
    AnyBit,
}

/// A step of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Return(u32),
    /// Takes the 32-bit word at an offset of `struct seccomp_data`, then goes on.
    Load(u32, NodeId),
    And(u32, NodeId),
    Test(Test, u32, NodeId, NodeId),
}

/// All steps of a filter.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    known: BTreeMap<Node, NodeId>,
}

impl Graph {
    /// Returns the node equal to `node`.
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        let next = NodeId(self.nodes.len());
        *self.known.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            next
        })
    }

    /// Loads a word before `next`, unless `next` does not look at it.
    pub(crate) fn load(&mut self, offset: u32, next: NodeId) -> NodeId {
        match self.nodes[next.0] {
            Node::Return(_) | Node::Load(..) => next,
            Node::And(..) | Node::Test(..) => self.add(Node::Load(offset, next)),
        }
    }

    /// Asks, unless both answers lead to the same.
    pub(crate) fn test(&mut self, test: Test, k: u32, yes: NodeId, no: NodeId) -> NodeId {
        if yes == no {
            return yes;
        }
        self.add(Node::Test(test, k, yes, no))
    }

    /// Translates what is reached from `start`.
    pub(crate) fn emit(&self, start: NodeId) -> Vec<Instruction> {
        let mut layout = Layout {
            graph: self,
            reversed: Vec::new(),
            places: BTreeMap::new(),
        };
        let place = layout.place(start);
        layout.follow_with(place);
        layout.reversed.reverse();
        layout.reversed
    }
}

struct Layout<'a> {
    graph: &'a Graph,
    /// The last instruction comes first.
    reversed: Vec<Instruction>,
    /// The latest, so the nearest, place of each node in `reversed`.
    places: BTreeMap<NodeId, usize>,
}

impl Layout<'_> {
    /// Returns where `id` stands, putting it before all that stands already if it has no place yet.
    fn place(&mut self, id: NodeId) -> usize {
        if let Some(&place) = self.places.get(&id) {
            return place;
        }
        match self.graph.nodes[id.0] {
            Node::Return(k) => self.push(id, code::RETURN, 0, 0, k),
            Node::Load(offset, next) => self.place_step(id, code::LOAD, offset, next),
            Node::And(mask, next) => self.place_step(id, code::AND, mask, next),
            Node::Test(test, k, yes, no) => self.place_test(id, test, k, yes, no),
        }
    }

    fn place_step(&mut self, id: NodeId, code: u16, k: u32, next: NodeId) -> usize {
        let place = self.place(next);
        self.follow_with(place);
        self.push(id, code, 0, 0, k)
    }

    /// Makes the next instruction pushed lead to `place` by falling through.
    fn follow_with(&mut self, place: usize) {
        let distance = self.reversed.len() - 1 - place;
        if distance > 0 {
            let k = u32::try_from(distance).unwrap_or(u32::MAX);
            self.reversed.push(instruction(code::JUMP, 0, 0, k));
        }
    }

    fn place_test(&mut self, id: NodeId, test: Test, k: u32, yes: NodeId, no: NodeId) -> usize {
        // Both subtrees first; the second may push the first out of reach, so reach is checked last.
        self.place(no);
        self.place(yes);
        loop {
            let (yes_skip, no_skip) = (self.skip(yes), self.skip(no));
            match (u8::try_from(yes_skip), u8::try_from(no_skip)) {
                (Ok(jt), Ok(jf)) => return self.push(id, opcode(test), jt, jf, k),
                (Err(_), _) => self.bridge(yes),
                (_, Err(_)) => self.bridge(no),
            }
        }
    }

    /// How many instructions the next one pushed has to skip to reach `id`, which has a place.
    fn skip(&self, id: NodeId) -> usize {
        self.reversed.len() - 1 - self.places[&id]
    }

    /// Gives `id` a nearer place: a copy of a return, else a jump.
    fn bridge(&mut self, id: NodeId) {
        let skip = u32::try_from(self.skip(id)).unwrap_or(u32::MAX);
        match self.graph.nodes[id.0] {
            Node::Return(k) => self.push(id, code::RETURN, 0, 0, k),
            _ => self.push(id, code::JUMP, 0, 0, skip),
        };
    }

    fn push(&mut self, id: NodeId, code: u16, jt: u8, jf: u8, k: u32) -> usize {
        let place = self.reversed.len();
        self.reversed.push(instruction(code, jt, jf, k));
        self.places.insert(id, place);
        place
    }
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn opcode(test: Test) -> u16 {
    match test {
        Test::Equal => code::JUMP_EQUAL,
        Test::Greater => code::JUMP_GREATER,
        Test::GreaterOrEqual => code::JUMP_GREATER_OR_EQUAL,
        Test::AnyBit => code::JUMP_ANY_BIT,
    }
}

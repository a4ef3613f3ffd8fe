//! The keys and values of a record's dictionary, each key once.

use std::collections::HashMap;

use super::node::{Arena, Id};

/// The dictionary in its order, searchable by name.
pub(super) struct Fields<'n> {
    list: Vec<(Id, Id)>,
    by_name: HashMap<&'n str, usize>,
}

impl<'n> Fields<'n> {
    /// Takes the pairs in which a pickle set them: of equal keys the last one's value stays, at
    /// the place of the first one.
    pub(super) fn new(arena: &'n Arena<'_>, pairs: &[(Id, Id)]) -> Self {
        let mut fields = Self { list: Vec::new(), by_name: HashMap::new() };
        // A million pairs can share one key of a megabyte. Its text is looked at once.
        let mut by_id = HashMap::new();
        for &(key, value) in pairs {
            let next = fields.list.len();
            let place = *by_id.entry(key).or_insert_with(|| match arena.str(key) {
                Some(name) => *fields.by_name.entry(name).or_insert(next),
                None => next,
            });
            match fields.list.get_mut(place) {
                Some(known) => known.1 = value,
                None => fields.list.push((key, value)),
            }
        }
        fields
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<Id> {
        self.by_name.get(name).map(|&place| self.list[place].1)
    }

    /// Every key with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, Id)> {
        self.list.iter().copied()
    }
}

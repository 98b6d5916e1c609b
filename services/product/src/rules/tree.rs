//! The category tree: ancestors and descendants of each category, computed once for all.

use std::collections::BTreeMap;

use promox_contract::ids::CategoryId;

use crate::records::Category;

/// Maximum categories of a shop.
pub(crate) const MAX_CATEGORIES: usize = 10_000;
/// Maximum nesting.
const DEEPEST: usize = 16;

/// All categories in display order: position, then name.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    rows: Vec<Category>,
    /// By id: the index in `rows`, and the category with all its ancestors, nearest first.
    by_id: Vec<Option<(usize, Box<[CategoryId]>)>>,
    /// By parent, the top level under `None`.
    children: BTreeMap<Option<CategoryId>, Vec<usize>>,
}

/// A category with its descendants.
#[derive(Debug)]
pub(crate) struct Branch<'a> {
    pub(crate) category: &'a Category,
    pub(crate) children: Vec<Branch<'a>>,
}

impl Tree {
    pub(crate) fn new(mut rows: Vec<Category>) -> Self {
        rows.sort_by(|a, b| (a.position, &a.name, a.id).cmp(&(b.position, &b.name, b.id)));
        let mut children: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut at = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            children.entry(row.parent_id).or_default().push(index);
            at.insert(row.id, index);
        }
        let highest = at.keys().last().map_or(0, |id| slot(*id) + 1);
        let mut by_id: Vec<_> = std::iter::repeat_with(|| None).take(highest).collect();
        for (id, index) in &at {
            if let Some(entry) = by_id.get_mut(slot(*id)) {
                *entry = Some((*index, lineage(&rows, &at, *id)));
            }
        }
        Self { rows, by_id, children }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn entry(&self, id: CategoryId) -> Option<&(usize, Box<[CategoryId]>)> {
        self.by_id.get(slot(id))?.as_ref()
    }

    pub(crate) fn get(&self, id: CategoryId) -> Option<&Category> {
        self.rows.get(self.entry(id)?.0)
    }

    /// By an id in digits, else by slug.
    pub(crate) fn named(&self, name: &str) -> Option<&Category> {
        let by_id = name.parse().ok().and_then(|id| self.get(CategoryId(id)));
        by_id.or_else(|| self.rows.iter().find(|row| row.slug == name))
    }

    /// The category and all its ancestors, nearest first; empty for an unknown one.
    pub(crate) fn lineage(&self, id: CategoryId) -> &[CategoryId] {
        self.entry(id).map_or(&[], |(_, lineage)| lineage)
    }

    /// One more than the highest id: the length of a list by id.
    pub(crate) fn ids(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn has_children(&self, id: CategoryId) -> bool {
        self.children.contains_key(&Some(id))
    }

    /// Its children.
    pub(crate) fn children(&self, id: CategoryId) -> impl Iterator<Item = &Category> {
        self.children.get(&Some(id)).into_iter().flatten().filter_map(|index| self.rows.get(*index))
    }

    /// Why `id` (none for a new one) cannot be placed below `parent`.
    pub(crate) fn refuses(&self, id: Option<CategoryId>, parent: CategoryId) -> Option<&'static str> {
        let above = self.lineage(parent);
        if above.is_empty() {
            return Some("this category does not exist");
        }
        if id.is_some_and(|id| above.contains(&id)) {
            return Some("a category cannot be its own parent or below itself");
        }
        let below = id.map_or(1, |id| self.height(id));
        (above.len() + below > DEEPEST).then_some("categories must nest at most 16 levels deep")
    }

    /// The depth of a category's subtree, itself included.
    fn height(&self, id: CategoryId) -> usize {
        let own = self.lineage(id).len();
        let deepest = self.rows.iter().map(|row| self.lineage(row.id)).filter(|line| line.contains(&id));
        deepest.map(<[CategoryId]>::len).max().unwrap_or(own) + 1 - own
    }

    /// The whole tree.
    pub(crate) fn branches(&self) -> Vec<Branch<'_>> {
        self.branches_under(None)
    }

    fn branches_under(&self, parent: Option<CategoryId>) -> Vec<Branch<'_>> {
        let rows = self.children.get(&parent).into_iter().flatten().filter_map(|index| self.rows.get(*index));
        rows.map(|category| Branch { category, children: self.branches_under(Some(category.id)) }).collect()
    }

    /// Every category.
    pub(crate) fn rows(&self) -> &[Category] {
        &self.rows
    }
}

/// A category's index in lists by id.
pub(crate) fn slot(id: CategoryId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX - 1)
}

/// From a category upwards; a cycle, which the commands never create, ends at the maximum depth.
fn lineage(rows: &[Category], at: &BTreeMap<CategoryId, usize>, id: CategoryId) -> Box<[CategoryId]> {
    let mut line = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next.filter(|_| line.len() < DEEPEST) {
        line.push(id);
        next = at.get(&id).and_then(|index| rows.get(*index)).and_then(|row| row.parent_id);
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_kernel::Timestamp;

    fn category(id: i64, parent: Option<i64>) -> Category {
        Category {
            id: CategoryId(id),
            name: format!("c{id}"),
            slug: format!("c{id}"),
            parent_id: parent.map(CategoryId),
            position: 0,
            version: 1,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn circles_and_depth_are_refused() {
        let tree = Tree::new(vec![category(1, None), category(2, Some(1)), category(3, Some(2)), category(4, None)]);
        assert_eq!(tree.lineage(CategoryId(3)), [CategoryId(3), CategoryId(2), CategoryId(1)]);
        for (id, parent, refused) in
            [(Some(1), 3, true), (Some(2), 2, true), (Some(3), 1, false), (Some(1), 4, false), (None, 9, true)]
        {
            assert_eq!(
                tree.refuses(id.map(CategoryId), CategoryId(parent)).is_some(),
                refused,
                "{id:?} under {parent}"
            );
        }
        let line: Vec<Category> = (1..=16).map(|id| category(id, (id > 1).then_some(id - 1))).collect();
        assert!(Tree::new(line).refuses(None, CategoryId(16)).is_some());
    }

    #[test]
    fn branches_hold_every_category_once() {
        let tree = Tree::new(vec![category(1, None), category(2, Some(1)), category(3, Some(1))]);
        let branches = tree.branches();
        assert_eq!(branches.len(), 1);
        assert_eq!(branches[0].children.len(), 2);
    }
}

//! The category tree, with the ancestors and children of each category precomputed.

use std::collections::BTreeMap;

use promox_contract::ids::CategoryId;

use crate::records::Category;

/// Maximum categories of a shop.
pub(crate) const MAX_CATEGORIES: usize = 10_000;
/// Maximum depth of nesting.
const MAX_DEPTH: usize = 16;

/// All categories in display order: position, then name.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    rows: Vec<Category>,
    /// For each category by id: its index in `rows`, and its lineage (the category and all its ancestors, nearest
    /// first).
    by_id: Vec<Option<(usize, Box<[CategoryId]>)>>,
    /// The indexes in `rows` of the children of each category. Those of the top level are under `None`.
    children: BTreeMap<Option<CategoryId>, Vec<usize>>,
}

/// A category with all its descendants.
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

    /// The number of categories.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn entry(&self, id: CategoryId) -> Option<&(usize, Box<[CategoryId]>)> {
        self.by_id.get(slot(id))?.as_ref()
    }

    /// The category with this id.
    pub(crate) fn get(&self, id: CategoryId) -> Option<&Category> {
        self.rows.get(self.entry(id)?.0)
    }

    /// The category with this id, in digits, or with this slug.
    pub(crate) fn find(&self, name: &str) -> Option<&Category> {
        let by_id = name.parse().ok().and_then(|id| self.get(CategoryId(id)));
        by_id.or_else(|| self.rows.iter().find(|row| row.slug == name))
    }

    /// The category and all its ancestors, nearest first. Empty for an unknown category.
    pub(crate) fn lineage(&self, id: CategoryId) -> &[CategoryId] {
        self.entry(id).map_or(&[], |(_, lineage)| lineage)
    }

    /// One more than the highest id, which is the length of a list by category id.
    pub(crate) fn id_bound(&self) -> usize {
        self.by_id.len()
    }

    /// Whether a category has subcategories.
    pub(crate) fn has_children(&self, id: CategoryId) -> bool {
        self.children.contains_key(&Some(id))
    }

    /// The children of a category, in display order.
    pub(crate) fn children(&self, id: CategoryId) -> impl Iterator<Item = &Category> {
        self.children.get(&Some(id)).into_iter().flatten().filter_map(|index| self.rows.get(*index))
    }

    /// Why the category `id` (`None` for a new one) cannot be placed below `parent`, or `None` if it can.
    pub(crate) fn placement_fault(&self, id: Option<CategoryId>, parent: CategoryId) -> Option<&'static str> {
        let ancestors = self.lineage(parent);
        if ancestors.is_empty() {
            return Some("this category does not exist");
        }
        if id.is_some_and(|id| ancestors.contains(&id)) {
            return Some("a category cannot be its own parent or below itself");
        }
        let height = id.map_or(1, |id| self.height(id));
        (ancestors.len() + height > MAX_DEPTH).then_some("categories must nest at most 16 levels deep")
    }

    /// The number of levels of a category's subtree, its own included.
    fn height(&self, id: CategoryId) -> usize {
        let own = self.lineage(id).len();
        let deepest = self.rows.iter().map(|row| self.lineage(row.id)).filter(|line| line.contains(&id));
        deepest.map(<[CategoryId]>::len).max().unwrap_or(own) + 1 - own
    }

    /// The top-level categories with all their descendants, in display order.
    pub(crate) fn branches(&self) -> Vec<Branch<'_>> {
        self.branches_under(None)
    }

    fn branches_under(&self, parent: Option<CategoryId>) -> Vec<Branch<'_>> {
        let rows = self.children.get(&parent).into_iter().flatten().filter_map(|index| self.rows.get(*index));
        rows.map(|category| Branch { category, children: self.branches_under(Some(category.id)) }).collect()
    }

    /// Every category, in display order.
    pub(crate) fn rows(&self) -> &[Category] {
        &self.rows
    }
}

/// The index of a category in a list by category id.
pub(crate) fn slot(id: CategoryId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX - 1)
}

/// A category and its ancestors, nearest first. A cycle, which the commands never create, ends at the maximum depth.
fn lineage(rows: &[Category], at: &BTreeMap<CategoryId, usize>, id: CategoryId) -> Box<[CategoryId]> {
    let mut line = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next.filter(|_| line.len() < MAX_DEPTH) {
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
    fn cycles_and_excessive_depth_are_refused() {
        let tree = Tree::new(vec![category(1, None), category(2, Some(1)), category(3, Some(2)), category(4, None)]);
        assert_eq!(tree.lineage(CategoryId(3)), [CategoryId(3), CategoryId(2), CategoryId(1)]);
        for (id, parent, refused) in
            [(Some(1), 3, true), (Some(2), 2, true), (Some(3), 1, false), (Some(1), 4, false), (None, 9, true)]
        {
            assert_eq!(
                tree.placement_fault(id.map(CategoryId), CategoryId(parent)).is_some(),
                refused,
                "{id:?} under {parent}"
            );
        }
        let line: Vec<Category> = (1..=16).map(|id| category(id, (id > 1).then_some(id - 1))).collect();
        assert!(Tree::new(line).placement_fault(None, CategoryId(16)).is_some());
    }

    #[test]
    fn branches_contain_every_category_once() {
        let tree = Tree::new(vec![category(1, None), category(2, Some(1)), category(3, Some(1))]);
        let branches = tree.branches();
        assert_eq!(branches.len(), 1);
        assert_eq!(branches[0].children.len(), 2);
    }
}

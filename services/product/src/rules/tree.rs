//! The category tree, with the ancestors and children of each category precomputed.

use std::collections::{BTreeMap, HashMap};

use promox_contract::ids::CategoryId;

use crate::records::Category;

/// Maximum categories of a shop.
pub(crate) const MAX_CATEGORIES: usize = 10_000;
/// Maximum depth of nesting.
const MAX_DEPTH: usize = 16;

/// All categories. The children of each are in display order: position, then name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    rows: Vec<Category>,
    /// For each category by id: its index in `rows`, and its lineage (the category and all its ancestors, nearest
    /// first).
    by_id: Vec<Option<(usize, Box<[CategoryId]>)>>,
    by_slug: HashMap<String, CategoryId>,
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
        rows.sort_by(|a, b| display_order(a).cmp(&display_order(b)));
        let mut children: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut at = BTreeMap::new();
        let mut by_slug = HashMap::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            children.entry(row.parent_id).or_default().push(index);
            at.insert(row.id, index);
            by_slug.insert(row.slug.clone(), row.id);
        }
        let highest = at.keys().last().map_or(0, |id| slot(*id) + 1);
        let mut by_id: Vec<_> = std::iter::repeat_with(|| None).take(highest).collect();
        for (id, index) in &at {
            if let Some(entry) = by_id.get_mut(slot(*id)) {
                *entry = Some((*index, lineage(|id| rows.get(*at.get(&id)?), *id)));
            }
        }
        Self { rows, by_id, by_slug, children }
    }

    /// Adds a category, or replaces the one with its id, in time that does not grow with the number of the others.
    /// Its parent must be in the tree and not below it.
    pub(crate) fn put(&mut self, category: Category) {
        let (id, parent_id) = (category.id, category.parent_id);
        let before = self.entry(id).map(|(index, _)| *index);
        let index = before.unwrap_or(self.rows.len());
        if let Some(old) = before.and_then(|index| self.rows.get(index)) {
            self.by_slug.remove(&old.slug);
            let siblings = self.children.get_mut(&old.parent_id);
            if siblings.is_some_and(|siblings| {
                siblings.retain(|sibling| *sibling != index);
                siblings.is_empty()
            }) {
                self.children.remove(&old.parent_id);
            }
        }
        self.by_slug.insert(category.slug.clone(), id);
        match self.rows.get_mut(index) {
            Some(row) => *row = category,
            None => self.rows.push(category),
        }
        let order = |index: &usize| self.rows.get(*index).map(display_order);
        let siblings = self.children.entry(parent_id).or_default();
        let position = siblings.partition_point(|sibling| order(sibling) < order(&index));
        siblings.insert(position, index);
        if self.by_id.len() <= slot(id) {
            self.by_id.resize(slot(id) + 1, None);
        }
        self.trace_lineages(id, index);
    }

    /// Computes the lineage of the category at an index, and of all below it.
    fn trace_lineages(&mut self, id: CategoryId, index: usize) {
        let mut pending = vec![(id, index)];
        while let Some((id, index)) = pending.pop() {
            let own_index = |id: CategoryId| self.entry(id).map(|(index, _)| *index);
            let row = |wanted: CategoryId| self.rows.get(if wanted == id { index } else { own_index(wanted)? });
            let line = lineage(row, id);
            let below = self.children.get(&Some(id)).into_iter().flatten();
            pending.extend(below.filter_map(|index| Some((self.rows.get(*index)?.id, *index))));
            if let Some(entry) = self.by_id.get_mut(slot(id)) {
                *entry = Some((index, line));
            }
        }
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
        by_id.or_else(|| self.with_slug(name))
    }

    /// The category with this slug.
    pub(crate) fn with_slug(&self, slug: &str) -> Option<&Category> {
        self.get(*self.by_slug.get(slug)?)
    }

    /// The category and all its ancestors, nearest first. Empty for an unknown category.
    pub(crate) fn lineage(&self, id: CategoryId) -> &[CategoryId] {
        self.entry(id).map_or(&[], |(_, lineage)| lineage)
    }

    /// One more than the highest id, which is the length of a list by category id.
    pub(crate) fn id_bound(&self) -> usize {
        self.by_id.len()
    }

    /// An id above all others.
    pub(crate) fn unused_id(&self) -> CategoryId {
        CategoryId(i64::try_from(self.by_id.len()).unwrap_or(i64::MAX))
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
        let mut deepest = self.lineage(id).len();
        let own = deepest;
        let mut pending: Vec<CategoryId> = self.children(id).map(|child| child.id).collect();
        while let Some(below) = pending.pop() {
            deepest = deepest.max(self.lineage(below).len());
            pending.extend(self.children(below).map(|child| child.id));
        }
        deepest + 1 - own
    }

    /// The top-level categories with all their descendants, in display order.
    pub(crate) fn branches(&self) -> Vec<Branch<'_>> {
        self.branches_under(None)
    }

    fn branches_under(&self, parent: Option<CategoryId>) -> Vec<Branch<'_>> {
        let rows = self.children.get(&parent).into_iter().flatten().filter_map(|index| self.rows.get(*index));
        rows.map(|category| Branch { category, children: self.branches_under(Some(category.id)) }).collect()
    }

    /// Every category, in any order.
    pub(crate) fn rows(&self) -> &[Category] {
        &self.rows
    }
}

/// The index of a category in a list by category id.
pub(crate) fn slot(id: CategoryId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX - 1)
}

/// What orders the categories of one parent.
fn display_order(category: &Category) -> (u32, &str, CategoryId) {
    (category.position, &category.name, category.id)
}

/// A category and its ancestors, nearest first. A cycle, which the commands never create, ends at the maximum depth.
fn lineage<'a>(row: impl Fn(CategoryId) -> Option<&'a Category>, id: CategoryId) -> Box<[CategoryId]> {
    let mut line = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next.filter(|_| line.len() < MAX_DEPTH) {
        line.push(id);
        next = row(id).and_then(|row| row.parent_id);
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

    #[test]
    fn a_tree_that_grows_is_the_one_that_its_rows_make() {
        let mut rows: Vec<Category> = Vec::new();
        let mut tree = Tree::default();
        let steps =
            [(3, None), (1, Some(3)), (2, Some(1)), (4, Some(3)), (1, Some(4)), (4, None), (3, Some(2)), (5, Some(3))];
        for (step, (id, parent)) in (0_u32..).zip(steps) {
            let category = Category { position: 10 - step, slug: format!("s{step}"), ..category(id, parent) };
            rows.retain(|row| row.id != category.id);
            rows.push(category.clone());
            tree.put(category);
            let fresh = Tree::new(rows.clone());
            assert_eq!(format!("{:?}", tree.branches()), format!("{:?}", fresh.branches()));
            for row in &rows {
                assert_eq!(tree.lineage(row.id), fresh.lineage(row.id), "step {step}");
                assert_eq!(tree.height(row.id), fresh.height(row.id));
                assert_eq!(tree.with_slug(&row.slug), Some(row));
            }
            assert_eq!((tree.with_slug("s0").is_some(), tree.len()), (step < 6, fresh.len()));
        }
    }
}

//! The table of routes: which one a request takes.

use std::sync::Arc;

use crate::routed::Route;
use crate::rules::route::{RouteRule, starts_with};

/// Routes with the same conditions, which share their requests by weight.
#[derive(Debug)]
struct Group {
    conditions: RouteRule,
    total: u64,
    routes: Vec<Arc<Route>>,
}

/// All routes to applications, the most specific ones first.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Group>);

/// The conditions of a rule, without the rest.
pub(crate) fn conditions(rule: &RouteRule) -> RouteRule {
    RouteRule {
        path: rule.path.clone(),
        methods: rule.methods.clone(),
        host: rule.host.clone(),
        headers: rule.headers.clone(),
        ..RouteRule::default()
    }
}

/// What a route's conditions are compared with.
pub(crate) struct Head<'a, F> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The host without its port, in lower case.
    pub(crate) host: &'a str,
    /// Returns the value of a header.
    pub(crate) header: F,
}

impl Group {
    fn fits<'a, F: Fn(&str) -> Option<&'a str>>(&self, head: &Head<'a, F>) -> bool {
        let rule = &self.conditions;
        let method_fits = |known: &String| known == head.method || (known == "GET" && head.method == "HEAD");
        starts_with(head.path, &rule.path)
            && (rule.methods.is_empty() || rule.methods.iter().any(method_fits))
            && rule.host.as_ref().is_none_or(|host| host == head.host)
            && rule.headers.iter().all(|(name, value)| (head.header)(name) == Some(value))
    }

    /// How specific it is: the longer path first, then the more conditions.
    fn rank(&self) -> (usize, usize) {
        let rule = &self.conditions;
        let conditions = usize::from(!rule.methods.is_empty()) + usize::from(rule.host.is_some()) + rule.headers.len();
        (rule.path.len(), conditions)
    }

    fn pick(&self, random: impl FnOnce(u64) -> u64) -> Option<&Arc<Route>> {
        if self.routes.len() == 1 || self.total == 0 {
            return self.routes.first();
        }
        let mut left = random(self.total);
        self.routes.iter().find(|route| {
            let weight = route.weight();
            let is_here = left < weight;
            left = left.saturating_sub(weight);
            is_here
        })
    }
}

impl Table {
    pub(crate) fn new(routes: impl IntoIterator<Item = Arc<Route>>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for route in routes {
            let conditions = conditions(&route.rule);
            let weight = route.weight();
            match groups.iter_mut().find(|group| group.conditions == conditions) {
                Some(group) => {
                    group.total += weight;
                    group.routes.push(route);
                }
                None => groups.push(Group { conditions, total: weight, routes: vec![route] }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.rank()));
        Self(groups)
    }

    /// The route of a request: one of the most specific ones that fit. `random` returns a number below its argument.
    pub(crate) fn find<'a, F: Fn(&str) -> Option<&'a str>>(
        &self,
        head: &Head<'a, F>,
        random: impl FnOnce(u64) -> u64,
    ) -> Option<Arc<Route>> {
        self.0.iter().find(|group| group.fits(head))?.pick(random).cloned()
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.0.iter().flat_map(|group| &group.routes)
    }
}

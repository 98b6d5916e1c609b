//! Roles and permissions: changes take effect at once, and there is always an administrator.

use super::*;
use crate::EnsuredAdmin;
use crate::api::{
    CreateRole, DeleteRole, EraseMe, GetRole, GetUser, ListPermissions, ListRoles, ListUsers, SetUpAdmin, UpdateRole,
    UpdateUser, UserStatus,
};
use crate::records::{Role, RolePermission};
use promox_kernel::{Kind, Limit, UserId};
use promox_storage::Service as _;

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn assign(id: UserId, roles: &[&str]) -> UpdateUser {
    UpdateUser { id, status: None, roles: Some(texts(roles)) }
}

#[tokio::test]
async fn a_new_store_has_four_roles() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let roles = shop.run(&admin, ListRoles { limit: Limit::default(), cursor: None }).await.unwrap().items;
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["ADMIN", "CUSTOMER", "MANAGER", "SUPPORT"]);
    assert!(roles[1].permissions.is_empty() && roles[2].permissions.contains(&"settings:write".to_owned()));
    assert!(roles[3].permissions.contains(&"payment:refund".to_owned()));
    let first_page = shop.run(&admin, ListPermissions { limit: Limit::default(), cursor: None }).await.unwrap();
    let rest =
        shop.run(&admin, ListPermissions { limit: Limit::default(), cursor: first_page.next_cursor }).await.unwrap();
    let every: Vec<String> = first_page.items.into_iter().chain(rest.items).map(|permission| permission.name).collect();
    assert_eq!(every, roles[0].permissions);
    assert!(every.contains(&"audit:read".to_owned()) && every.contains(&"role:write".to_owned()));
}

/// Sets the version of MANAGER and removes the permission that this release added, as the previous release left the
/// role.
fn downgrade_manager(tx: &mut promox_storage::Tx<'_>, version: i64) -> Result<(), promox_storage::StoreError> {
    let role = tx.get::<Role>(&"MANAGER".to_owned())?.unwrap();
    tx.put(&Role { version, ..role })?;
    tx.delete::<RolePermission>(&("MANAGER".to_owned(), "analytics:write".to_owned())).map(drop)
}

#[tokio::test]
async fn an_unedited_role_of_an_earlier_release_gets_added_permissions() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for (version, gains) in [(1, true), (2, false)] {
        shop.service.db.write(&shop.cx(), move |tx| downgrade_manager(tx, version)).await.unwrap();
        for _ in 0..2 {
            shop.service.recover(&shop.cx()).await.unwrap();
            let role = shop.run(&admin, GetRole { name: "MANAGER".to_owned() }).await.unwrap();
            assert_eq!(role.permissions.contains(&"analytics:write".to_owned()), gains);
            assert_eq!(role.version, 2, "the permission is added once, and not to an edited role");
        }
    }
    shop.verify();
}

#[tokio::test]
async fn edited_roles_take_effect_at_once() {
    let shop = Shop::open().await;
    let (admin, ada) = (shop.admin().await, shop.register("ada@example.com").await);
    let listing = || async {
        let cx = shop.bearer(&ada.access_token).await.unwrap();
        shop.run(&cx, ListUsers::default()).await.map(|page| page.items.len()).map_err(|error| error.kind())
    };
    assert_eq!(listing().await, Err(Kind::Forbidden));
    let clerk = CreateRole { name: "CLERK".to_owned(), description: String::new(), permissions: texts(&["user:read"]) };
    shop.run(&admin, clerk.clone()).await.unwrap();
    assert_eq!(shop.run(&admin, clerk).await.unwrap_err().code(), "ROLE_TAKEN");
    shop.run(&admin, assign(ada.user.id, &["CUSTOMER", "CLERK"])).await.unwrap();
    assert_eq!(listing().await, Ok(2));
    let edit = |permissions: &[&str]| UpdateRole {
        name: "CLERK".to_owned(),
        description: None,
        permissions: Some(texts(permissions)),
    };
    shop.run(&admin, edit(&["order:read"])).await.unwrap();
    assert_eq!(listing().await, Err(Kind::Forbidden));
    shop.run(&admin, edit(&["user:read"])).await.unwrap();
    assert_eq!(listing().await, Ok(2));
    let unknown = shop.run(&admin, edit(&["user:read", "user:haunt"])).await.unwrap_err();
    assert_eq!(unknown.errors()[0].pointer, "/permissions/1");
    let delete = || DeleteRole { name: "CLERK".to_owned() };
    assert_eq!(shop.run(&admin, delete()).await.unwrap_err().code(), "ROLE_IN_USE");
    let blocked = UpdateUser { id: ada.user.id, status: Some(UserStatus::Blocked), roles: Some(texts(&["CUSTOMER"])) };
    shop.run(&admin, blocked).await.unwrap();
    assert_eq!(shop.bearer(&ada.access_token).await.unwrap_err().code(), "SESSION_ENDED");
    assert_eq!(shop.login("ada@example.com", PASSWORD).await.unwrap_err().code(), "ACCOUNT_BLOCKED");
    shop.run(&admin, delete()).await.unwrap();
    for fixed in ["ADMIN", "CUSTOMER"] {
        let error = shop.run(&admin, DeleteRole { name: fixed.to_owned() }).await.unwrap_err();
        assert_eq!(error.code(), "ROLE_BUILT_IN");
    }
    shop.verify();
}

#[tokio::test]
async fn the_last_administrator_cannot_be_removed() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let id = admin.principal.user().unwrap();
    let block = |id: UserId| UpdateUser { id, status: Some(UserStatus::Blocked), roles: None };
    assert_eq!(shop.run(&admin, assign(id, &["CUSTOMER"])).await.unwrap_err().code(), "LAST_ADMIN");
    assert_eq!(shop.run(&admin, block(id)).await.unwrap_err().code(), "LAST_ADMIN");
    assert_eq!(shop.run(&admin, EraseMe {}).await.unwrap_err().code(), "LAST_ADMIN");
    let eve = shop.register("eve@example.com").await;
    shop.run(&admin, assign(eve.user.id, &["ADMIN"])).await.unwrap();
    shop.run(&admin, block(eve.user.id)).await.unwrap();
    assert_eq!(shop.run(&admin, EraseMe {}).await.unwrap_err().code(), "LAST_ADMIN", "a blocked one does not count");
    shop.run(&admin, UpdateUser { id: eve.user.id, status: Some(UserStatus::Active), roles: None }).await.unwrap();
    shop.run(&admin, EraseMe {}).await.unwrap();
    assert!(shop.service.has_admin().await.unwrap());
    shop.verify();
}

#[tokio::test]
async fn permissions_beyond_ones_own_cannot_be_granted_or_revoked() {
    let shop = Shop::open().await;
    let (admin, eve) = (shop.admin().await, shop.register("eve@example.com").await);
    let ada = shop.register("ada@example.com").await;
    let permissions = texts(&["role:write", "user:read", "user:write"]);
    let hr = CreateRole { name: "HR".to_owned(), description: String::new(), permissions };
    shop.run(&admin, hr).await.unwrap();
    shop.run(&admin, assign(eve.user.id, &["CUSTOMER", "HR"])).await.unwrap();
    let eve_cx = shop.bearer(&eve.access_token).await.unwrap();
    let widen = UpdateRole { name: "HR".to_owned(), description: None, permissions: Some(texts(&["order:read"])) };
    let refused = [
        shop.run(&eve_cx, assign(eve.user.id, &["ADMIN"])).await.unwrap_err(),
        shop.run(&eve_cx, assign(admin.principal.user().unwrap(), &["CUSTOMER"])).await.unwrap_err(),
        shop.run(&eve_cx, widen).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!((error.kind(), error.code()), (Kind::Forbidden, "BEYOND_YOUR_PERMISSIONS"));
    }
    assert!(shop.run(&eve_cx, assign(ada.user.id, &["CUSTOMER", "HR"])).await.is_ok());
}

#[tokio::test]
async fn users_are_found_by_words_role_and_status() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for (address, name) in
        [("ada@example.com", "Ada Ada Lovelace"), ("anna@shop.example", "Anna Adams"), ("bob@example.com", "Bob")]
    {
        let named = Register { name: Some(name.to_owned()), ..registration(address) };
        shop.run(shop.anonymous(), named).await.unwrap();
    }
    let find = |q: Option<&str>, role: Option<&str>, status| {
        let query =
            ListUsers { q: q.map(str::to_owned), role: role.map(str::to_owned), status, ..ListUsers::default() };
        let (shop, admin) = (&shop, &admin);
        async move {
            let page = shop.run(admin, query).await.unwrap();
            page.items.into_iter().map(|user| user.id.0).collect::<Vec<_>>()
        }
    };
    assert_eq!(find(None, None, None).await, [1, 2, 3, 4]);
    assert_eq!(find(Some("AD"), None, None).await, [2, 3, 1]);
    assert_eq!(find(Some("lovel ada"), None, None).await, [2]);
    assert_eq!(find(Some("anna@"), None, None).await, [3]);
    assert_eq!(find(Some("ad"), Some("ADMIN"), None).await, [1]);
    assert_eq!(find(None, Some("ADMIN"), None).await, [1]);
    assert_eq!(find(None, Some("CUSTOMER"), Some(UserStatus::Blocked)).await, [0_i64; 0]);
    let first: Limit = serde_json::from_str("1").unwrap();
    let page = shop.run(&admin, ListUsers { limit: first, ..ListUsers::default() }).await.unwrap();
    let next = ListUsers { limit: first, cursor: page.next_cursor, ..ListUsers::default() };
    assert_eq!(shop.run(&admin, next).await.unwrap().items[0].id.0, 2);
    assert!(shop.run(&admin, GetUser { id: UserId(99) }).await.is_err());
}

#[tokio::test]
async fn the_first_administrator_is_created_by_a_token_that_works_once() {
    let shop = Shop::open().await;
    assert!(!shop.service.has_admin().await.unwrap());
    let stale = shop.service.setup_token(&shop.cx()).await.unwrap();
    let token = shop.service.setup_token(&shop.cx()).await.unwrap();
    let set_up =
        |token: &str| SetUpAdmin { token: secret(token), email: email("root@example.com"), password: secret(PASSWORD) };
    assert_eq!(shop.run(shop.anonymous(), set_up(&stale)).await.unwrap_err().code(), "TOKEN_INVALID");
    let root = shop.run(shop.anonymous(), set_up(&token)).await.unwrap();
    assert!(root.user.roles.contains(&"ADMIN".to_owned()));
    assert_eq!(shop.run(shop.anonymous(), set_up(&token)).await.unwrap_err().code(), "TOKEN_INVALID");
    assert_eq!(shop.service.setup_token(&shop.cx()).await.unwrap_err().code(), "ADMIN_EXISTS");
    let promoted = shop.service.ensure_admin(&shop.cx(), "root@example.com", "another good one").await.unwrap();
    assert_eq!(promoted, EnsuredAdmin::Promoted);
    assert!(shop.bearer(&root.access_token).await.is_err());
    assert!(shop.login("root@example.com", "another good one").await.is_ok());
}

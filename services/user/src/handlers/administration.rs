//! Back-office operations: users, roles, permissions, the audit log.

use promox_kernel::{Cursor, Cx, Error, Handle, Page};
use promox_storage::Tx;

use crate::Users;
use crate::api::{
    AuditEntryView, CreateRole, DeleteRole, GetRole, GetUser, ListAudit, ListPermissions, ListRoles, ListUsers,
    PermissionView, RoleView, UpdateRole, UpdateUser, UserView,
};
use crate::commands::{administration, roles};
use crate::queries::{self, permission_view};

impl Handle<ListUsers> for Users {
    async fn handle(&self, _: &Cx, op: ListUsers) -> Result<Page<UserView>, Error> {
        self.db.read(|tx| queries::users(tx, op.clone())).await
    }
}

impl Handle<GetUser> for Users {
    async fn handle(&self, _: &Cx, op: GetUser) -> Result<UserView, Error> {
        self.db.read(|tx| Ok(queries::user_view(tx, queries::user(tx, op.id)?)?)).await
    }
}

impl Handle<UpdateUser> for Users {
    async fn handle(&self, cx: &Cx, op: UpdateUser) -> Result<UserView, Error> {
        let (context, all_permissions) = (cx.clone(), self.all_permissions(cx).await?);
        let work = move |tx: &mut Tx<'_>| {
            let user = administration::update(tx, &context, &op, &all_permissions)?;
            Ok(queries::user_view(tx, user)?)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<ListRoles> for Users {
    async fn handle(&self, cx: &Cx, op: ListRoles) -> Result<Page<RoleView>, Error> {
        let all_permissions = self.all_permissions(cx).await?;
        self.db.read(|tx| queries::roles(tx, op.limit, op.cursor.clone(), &all_permissions)).await
    }
}

impl Handle<GetRole> for Users {
    async fn handle(&self, cx: &Cx, op: GetRole) -> Result<RoleView, Error> {
        let all_permissions = self.all_permissions(cx).await?;
        self.db.read(|tx| Ok(queries::role_view(tx, queries::role(tx, &op.name)?, &all_permissions)?)).await
    }
}

impl Handle<CreateRole> for Users {
    async fn handle(&self, cx: &Cx, op: CreateRole) -> Result<RoleView, Error> {
        let (context, all_permissions) = (cx.clone(), self.all_permissions(cx).await?);
        let work = move |tx: &mut Tx<'_>| {
            let role = roles::create(tx, &context, &op, &all_permissions)?;
            Ok(queries::role_view(tx, role, &all_permissions)?)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<UpdateRole> for Users {
    async fn handle(&self, cx: &Cx, op: UpdateRole) -> Result<RoleView, Error> {
        let (context, all_permissions) = (cx.clone(), self.all_permissions(cx).await?);
        let work = move |tx: &mut Tx<'_>| {
            let role = roles::update(tx, &context, &op, &all_permissions)?;
            Ok(queries::role_view(tx, role, &all_permissions)?)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<DeleteRole> for Users {
    async fn handle(&self, cx: &Cx, op: DeleteRole) -> Result<(), Error> {
        let context = cx.clone();
        self.db.write(cx, move |tx| roles::delete(tx, &context, &op.name)).await
    }
}

impl Handle<ListPermissions> for Users {
    async fn handle(&self, cx: &Cx, op: ListPermissions) -> Result<Page<PermissionView>, Error> {
        let all_permissions = self.all_permissions(cx).await?;
        let after = op.cursor.map(|cursor| String::from_utf8_lossy(&cursor.0).into_owned()).unwrap_or_default();
        let mut names: Vec<&String> =
            all_permissions.iter().filter(|name| **name > after).take(op.limit.get() + 1).collect();
        let more = names.len() > op.limit.get();
        names.truncate(op.limit.get());
        let next = names.last().filter(|_| more).map(|name| Cursor(name.as_bytes().to_vec()));
        Ok(Page::new(names.into_iter().map(|name| permission_view(name)).collect(), next))
    }
}

impl Handle<ListAudit> for Users {
    async fn handle(&self, _: &Cx, op: ListAudit) -> Result<Page<AuditEntryView>, Error> {
        self.db.read(|tx| queries::audit(tx, &op)).await
    }
}

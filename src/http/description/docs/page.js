// Shows /openapi.json: services, their operations, and the requests and responses of each.
"use strict";

function make(tag, text, attributes) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  return element;
}

function resolve(description, ref) {
  return ref.split("/").slice(1).reduce((at, part) => at && at[part], description);
}

// An example-like outline of a schema. `open` holds the enclosing references, so that a recursive schema ends.
function outline(description, schema, open) {
  if (!schema || schema === true) return "any";
  if (schema.$ref) {
    if (open.includes(schema.$ref)) return schema.$ref.split("/").pop();
    return outline(description, resolve(description, schema.$ref), open.concat(schema.$ref));
  }
  const variants = schema.oneOf || schema.anyOf;
  if (variants) {
    const shown = variants.filter((variant) => variant.type !== "null").map((v) => outline(description, v, open));
    return shown.length === 1 ? shown[0] : { "one of": shown };
  }
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return schema.const;
  const type = Array.isArray(schema.type) ? schema.type.filter((name) => name !== "null").join(" | ") : schema.type;
  if (type === "array") return [outline(description, schema.items, open)];
  if (type === "object" || schema.properties) {
    const members = {};
    for (const [name, member] of Object.entries(schema.properties || {})) {
      const needed = (schema.required || []).includes(name);
      members[needed ? name : name + "?"] = outline(description, member, open);
    }
    if (schema.additionalProperties) members["…"] = outline(description, schema.additionalProperties, open);
    return members;
  }
  return schema.format ? type + " (" + schema.format + ")" : type || "any";
}

function access(operation) {
  if (operation["x-permission"]) return operation["x-permission"];
  const schemes = (operation.security || []).flatMap((item) => Object.keys(item));
  if (schemes.length === 0) return "anyone";
  return schemes.includes("cartToken") ? "guest or user" : "user";
}

function bodies(description, parent, title, content) {
  for (const [media, { schema }] of Object.entries(content || {})) {
    parent.append(make("h3", title + " · " + media));
    const shown = outline(description, schema, []);
    parent.append(make("pre", typeof shown === "string" ? shown : JSON.stringify(shown, null, 2)));
  }
}

function parameterTable(description, parameters) {
  const table = make("table");
  for (let parameter of parameters) {
    if (parameter.$ref) parameter = resolve(description, parameter.$ref);
    const row = make("tr");
    row.append(make("td", parameter.name + (parameter.required ? "" : "?")), make("td", parameter.in));
    const shown = outline(description, parameter.schema, []);
    row.append(make("td", typeof shown === "string" ? shown : JSON.stringify(shown)));
    row.append(make("td", parameter.description || ""));
    table.append(row);
  }
  return table;
}

function details(description, operation) {
  const inside = make("div");
  inside.append(make("p", operation.operationId));
  if (operation.parameters.length > 0) {
    inside.append(make("h3", "Parameters"), parameterTable(description, operation.parameters));
  }
  if (operation.requestBody) bodies(description, inside, "Body", operation.requestBody.content);
  for (const [status, response] of Object.entries(operation.responses)) {
    if (response.$ref) continue;
    bodies(description, inside, "Response " + status, response.content);
    if (!response.content) inside.append(make("h3", "Response " + status));
  }
  const errors = Object.keys(operation.responses).filter((status) => operation.responses[status].$ref);
  inside.append(make("p", "Errors: " + errors.join(", ")));
  return inside;
}

function row(description, path, method, operation) {
  const element = make("details");
  const summary = make("summary");
  summary.append(make("span", method.toUpperCase(), { class: "method" }), make("code", path));
  summary.append(make("span", operation.summary), make("span", access(operation), { class: "access" }));
  element.append(summary);
  element.dataset.words = [path, operation.operationId, operation.summary].join(" ").toLowerCase();
  element.addEventListener("toggle", () => {
    if (element.open && element.children.length === 1) element.append(details(description, operation));
  });
  return element;
}

function show(description) {
  document.title = description.info.title;
  document.getElementById("title").textContent = description.info.title + " " + description.info.version;
  document.getElementById("about").textContent = description.info.description;
  const main = document.getElementById("operations");
  main.textContent = "";
  for (const { name } of description.tags) {
    const section = make("section", undefined, { id: name });
    section.append(make("h2", name));
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags[0] === name) section.append(row(description, path, method, operation));
      }
    }
    main.append(section);
    document.getElementById("services").append(make("a", name, { href: "#" + name }));
  }
}

function filter(words) {
  const wanted = words.toLowerCase().split(/\s+/);
  for (const element of document.querySelectorAll("details")) {
    element.hidden = !wanted.every((word) => element.dataset.words.includes(word));
  }
}

document.getElementById("find").addEventListener("input", (event) => filter(event.target.value));
fetch("/openapi.json")
  .then((response) => response.json())
  .then(show)
  .catch((error) => { document.getElementById("operations").textContent = "The description could not be loaded: " + error; });

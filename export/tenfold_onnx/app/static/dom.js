// The page's elements, and files to save.

export const byId = (id) => document.getElementById(id);

// An element with properties and children.
export function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

export function save(name, address) {
  element('a', { download: name, href: address }).click();
}

export const stillness = matchMedia('(prefers-reduced-motion: reduce)');

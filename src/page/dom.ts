/** Elements, made and kept up to date by key. Text is inserted as text: nothing here turns a string into markup. */

type Child = Node | string | undefined | false;

export interface Props {
  readonly class?: string;
  readonly title?: string;
  readonly [attribute: string]: string | undefined;
}

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return element;
}

/** @throws Error when the page lacks it. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`Expected #${id} in the page`);
  return element;
}

/** Same as byId, for one type of element. @throws Error when the element has another type. */
export function ofKind<T extends HTMLElement>(kind: new () => T, id: string): T {
  const element = byId(id);
  if (!(element instanceof kind)) throw new Error(`Expected #${id} to be a ${kind.name}`);
  return element;
}

/** Writes only what differs: an untouched element costs no layout. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Keeps one element for each item, in the items' order; an element stays with its item, focus included. */
export class KeyedList<T> {
  readonly #parent: Element;
  readonly #make: (item: T) => HTMLElement;
  readonly #update: (element: HTMLElement, item: T) => void;
  #elements = new Map<string, HTMLElement>();

  constructor(parent: Element, make: (item: T) => HTMLElement, update: (element: HTMLElement, item: T) => void) {
    this.#parent = parent;
    this.#make = make;
    this.#update = update;
  }

  get elements(): ReadonlyMap<string, HTMLElement> {
    return this.#elements;
  }

  show(items: readonly T[], keyOf: (item: T) => string): void {
    const elements = new Map<string, HTMLElement>();
    let next = this.#parent.firstElementChild;
    const kept = new Set(items.map(keyOf));
    for (const [key, element] of this.#elements) {
      if (kept.has(key)) continue;
      if (element === next) next = element.nextElementSibling;
      element.remove();
    }
    for (const item of items) {
      const key = keyOf(item);
      const element = this.#elements.get(key) ?? this.#make(item);
      this.#update(element, item);
      elements.set(key, element);
      if (element === next) next = element.nextElementSibling;
      else this.#parent.insertBefore(element, next);
    }
    this.#elements = elements;
  }
}

export interface Options {
  /** Address of the API, such as `https://api.shop.example`. */
  url: string;
  /** A key with the role `track`, limited to the scenario and the origin of the page. It is public. */
  key: string;
  scenario: string;
  userId: string;
  /** Hears of events that are lost or refused; by default the console does. */
  onError?: (text: string) => void;
}

export interface Filtered {
  filter: string;
  weight: number;
}

export interface Wishes {
  n?: number;
  filter?: string;
  variables?: Record<string, unknown>;
  exclude?: string[];
  boost?: Filtered[];
  pin?: { item_id: string; position: number }[];
  fields?: string[];
  placement?: string;
  [wish: string]: unknown;
}

export interface Item {
  item_id: string;
  score: number;
  source: string;
  because: string[];
  reason: string;
  /** Fields and attributes that the request names in `fields`. */
  [field: string]: unknown;
}

export interface Answer {
  request_id: string;
  model_version: string | null;
  degraded: boolean;
  items: Item[];
}

/** What an event is about: the request that showed the item, and its place, from 1. */
export interface Shown {
  request_id?: string;
  position?: number;
}

export interface Details extends Shown {
  /** A price, a rating, seconds watched. */
  value?: number;
  attributes?: Record<string, unknown>;
}

export class Lemo {
  constructor(options: Options);
  recommend(wishes?: Wishes & { session?: (string | { item_id: string; action?: string })[] }): Promise<Answer>;
  similar(wishes: Wishes & { item_ids: string[] }): Promise<Answer>;
  watch(element: Element, item: Shown & { item_id: string }): () => void;
  track(action: string, itemId: string, details?: Details): void;
  flush(): Promise<void>;
}

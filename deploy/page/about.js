// What the service says of its model, and what a CSV for it looks like.

import { element } from "./element.js";

/** $: finds an element by its id; info: of /v1/info. */
export function about($, info) {
  const rate = info.rate ? `${Number(info.rate.toPrecision(4))} Hz` : "rate unknown";
  const { channels } = info;
  $("facts").textContent = `${channels.length} ${channels.length === 1 ? "channel" : "channels"} · ${info.length} steps · ${rate} · ${info.features} features`;
  const told = {
    Method: info.method?.name,
    Encoder: info.encoder?.name,
    Runtime: info.runtime,
    Channels: channels.length > 12 ? `${channels[0]} … ${channels.at(-1)}` : channels.join(", "),
    Classes: info.classes?.join(", "),
  };
  $("about").replaceChildren(...Object.entries(told).filter(([, value]) => value).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  $("card").textContent = info.card;
  $("hop").value = info.length;
  const names = channels.slice(0, 3).concat(channels.length > 3 ? ["…"] : []);
  const line = (values) => names.map((_, at) => values[at] ?? values.at(-1)).join(",");
  $("sample").textContent = [`id,timestamp,label,${names.join(",")}`, `a,0.0,walk,${line(["0.1"])}`, `a,0.1,walk,${line(["", "0.2"])}`].join("\n");
}

import type { JSX } from "preact";

/** Changes between light and dark; the system's choice counts until then. */
export function ThemeButton(): JSX.Element {
  const toggle = (): void => {
    const { dataset } = document.documentElement;
    const isDark =
      dataset["theme"] === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : dataset["theme"] === "dark";
    dataset["theme"] = isDark ? "light" : "dark";
  };
  return (
    <button onClick={toggle} title="Light or dark">
      ◐
    </button>
  );
}

/** Named routes: targets that the operator has put together under a name, used wherever a model is named. */

export interface NamedRoute<Element extends WeightedTarget = WeightedTarget> {
  name: string;
  /** Never empty. */
  targets: readonly Element[];
}

export interface WeightedTarget {
  /** Its share of the traffic; null where the route only has an order. */
  weight: number | null;
}

/**
 * The targets in the order in which a turn tries them: without weights as they stand. With weights the first is
 * drawn, each as often as its share says; the others follow as they stand, those of no weight being there for
 * the others' failing.
 * @param random between 0 and 1
 */
export function orderOf<Element extends WeightedTarget>(
  { targets }: NamedRoute<Element>,
  random: () => number,
): Element[] {
  const total = targets.reduce((sum, { weight }) => sum + (weight ?? 0), 0);
  if (total === 0) return [...targets];
  let left = random() * total;
  const drawn = targets.find(({ weight }) => {
    left -= weight ?? 0;
    return left < 0;
  });
  return drawn === undefined ? [...targets] : [drawn, ...targets.filter((target) => target !== drawn)];
}

/** Whether the target may be the first of the route, and is not there for the others' failing alone. */
export function mayComeFirst<Element extends WeightedTarget>(
  { targets }: NamedRoute<Element>,
  target: Element,
): boolean {
  const hasWeights = targets.some(({ weight }) => (weight ?? 0) > 0);
  return hasWeights ? (target.weight ?? 0) > 0 : target === targets[0];
}

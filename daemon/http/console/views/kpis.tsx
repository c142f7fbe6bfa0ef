export function Kpis() { return <h1>Kpis</h1>; }

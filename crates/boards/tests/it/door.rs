//! Who is let in, and what they may do: every path and every method, for whom they are not.

use http::Method;
use nave_boards::hub::METHODS;
use nave_boards::link::EXPORTER_METHODS;
use nave_core::api::Verdict;
use nave_core::hub::http::Access;
use nave_core::hub::status;
use nave_testkit::hub::TestHub;
use serde_json::json;

use crate::client::{Client, OPEN, body, farm, get};
use crate::native::{ask, node};

const PATHS: [&str; 4] = ["/ws", "/api/v1/places", "/api/v1/auth-info", "/oidc-callback?state=x"];

#[tokio::test]
async fn where_it_is_off_there_is_nothing() -> anyhow::Result<()> {
    let hub = farm("").await?;
    for path in PATHS {
        let answer = get(&hub, "10.77.0.3", path).await?;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    assert!(Client::try_connect(&hub, "10.77.0.3", "/ws").await?.is_err());
    Ok(())
}

#[tokio::test]
async fn only_listed_networks_are_let_in() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let places = get(&hub, "10.78.0.3", "/api/v1/places").await?;
    assert!(places.starts_with("HTTP/1.1 403") && places.contains("open_to"), "{places}");
    assert!(Client::try_connect(&hub, "10.78.0.3", "/ws").await?.is_err());
    // Neither tells or changes anything that needs protecting.
    assert!(get(&hub, "10.78.0.3", "/api/v1/auth-info").await?.starts_with("HTTP/1.1 200"));
    assert!(get(&hub, "10.78.0.3", "/oidc-callback?state=x").await?.starts_with("HTTP/1.1 500"));
    assert_eq!(body(&get(&hub, "10.77.0.3", "/api/v1/places").await?)?["places"], serde_json::json!([]));
    assert_eq!(body(&get(&hub, "10.77.0.3", "/api/v1/auth-info").await?)?, serde_json::json!({}));
    Ok(())
}

#[tokio::test]
async fn a_client_behind_nothing_that_is_listed_is_believed_nothing() -> anyhow::Result<()> {
    let hub = farm("[not_my_board]\nenabled = true\nopen_to = [\"10.77.0.0/24\"]").await?;
    assert!(get(&hub, "10.77.0.3", "/api/v1/places").await?.starts_with("HTTP/1.1 403"));
    Ok(())
}

#[tokio::test]
async fn its_three_measures_are_among_the_rest() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut exporter = Client::connect(&hub, "10.77.0.2").await?;
    let place = exporter.register("place").await?;
    let mut agent = Client::connect(&hub, "10.77.0.3").await?;
    agent.begin("reserve", serde_json::json!([[place]])).await?;
    exporter.lets_in().await?;
    agent.next().await?;
    let seen = get(&hub, "127.0.0.1", "/metrics").await?;
    for line in [
        "# HELP not_my_board_places_registered Number of registered places",
        "# TYPE not_my_board_places_registered gauge",
        "\nnot_my_board_places_registered 1\n",
        "\nnot_my_board_places_reserved 1\n",
        "\nnot_my_board_reservation_queue_length 0\n",
        "\nnave_nodes 0\n",
    ] {
        assert!(seen.contains(line), "{line}: {seen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_farm_that_is_open_to_everyone_is_warned_of() -> anyhow::Result<()> {
    let verdict = async |hub: &TestHub| {
        let checks = status::running(hub.hub()).await;
        checks.into_iter().find(|check| check.name == "not-my-board").map(|check| check.verdict)
    };
    assert_eq!(verdict(&farm("").await?).await, None);
    assert_eq!(verdict(&farm(OPEN).await?).await, Some(Verdict::Pass));
    let open = farm("[not_my_board]\nenabled = true\nopen_to = [\"0.0.0.0/0\"]").await?;
    assert_eq!(verdict(&open).await, Some(Verdict::Warn));
    Ok(())
}

#[tokio::test]
async fn every_method_stands_in_the_authorization_table() -> anyhow::Result<()> {
    let table = include_str!("../../../../docs/authorization.txt");
    for (method, action) in METHODS {
        let row = table.lines().find(|line| line.starts_with(&format!("/ws     {method} ")));
        let row = row.unwrap_or_else(|| panic!("{method} is not in docs/authorization.txt"));
        assert!(action.is_none_or(|action| row.contains(action.name)), "{row}");
    }
    for method in EXPORTER_METHODS {
        assert!(table.lines().any(|line| line.starts_with(&format!("boards  {method} "))), "{method}");
    }
    let hub = farm(OPEN).await?;
    for path in PATHS {
        let path = path.split('?').next().unwrap();
        assert!(hub.running().routes.iter().any(|row| row.path == path), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn nodes_do_what_their_role_is_for_and_nothing_else() -> anyhow::Result<()> {
    let hub = farm("").await?;
    let nodes = [("exporter", "exporter"), ("importer", "importer"), ("site", "site")];
    let mut tried = 0;
    for (name, role) in nodes {
        let node = node(&hub, name, role).await?;
        for row in &hub.running().routes {
            let Some(path) = row.path.strip_prefix("/nave/v1") else { continue };
            let is_own = ["/places", "/reservations", "/boards"].iter().any(|own| path.starts_with(own));
            let Access::Action(action) = row.access else { continue };
            if !is_own {
                continue;
            }
            tried += 1;
            let path = path.replace("{place}", "x").replace("{reservation}", "x");
            let (status, answer) = ask(&node, row.method.clone(), &path, json!({})).await?;
            let may = match action.name {
                "place.read" => role != "site",
                "place.reserve" => role == "importer",
                "place.manage" => false,
                other => anyhow::bail!("{other} is not known here"),
            };
            assert_eq!(status == 403, !may, "{row}: a node with the role {role} got {status} {answer}");
        }
        // What is somebody's own is nobody else's.
        let (status, answer) = ask(&node, Method::DELETE, "/reservations/x", json!({})).await?;
        assert_eq!(status, 404, "{answer}");
    }
    anyhow::ensure!(tried >= 3 * 8, "only {tried} rows were tried");
    Ok(())
}
